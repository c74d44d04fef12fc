import type pg from 'pg';
import { TransactionRequiredError } from '../errors/errors.js';
import type { PgTransaction } from './pg-transaction.js';

/** A client as a handler gets it, and what takes it away again. */
export interface RevocableClient {
  readonly client: pg.PoolClient;
  /** After this every use of the client throws TransactionRequiredError. */
  revoke(): void;
}

/**
 * Lends a pooled client to a handler for the time of its transaction. A handler may still be running when its
 * transaction has ended: it was too slow, another handler of the message failed, or it did not await something. What it
 * sends then must not reach the connection, which serves somebody else by now.
 *
 * What the transaction has not sent yet goes ahead of what the handler sends.
 */
export function lendClient(lent: pg.PoolClient, transaction: PgTransaction): RevocableClient {
  let ended = false;
  const query = (...args: unknown[]): unknown => {
    const send = (): unknown => (lent.query as (...args: unknown[]) => unknown)(...args);
    const flushing = transaction.flush();
    if (flushing === undefined) return send();
    const sent = flushing.then(send);
    // A query of the caller's own making is returned as it is, and one with a callback returns nothing.
    if (typeof (args[0] as { submit?: unknown } | undefined)?.submit === 'function') return args[0];
    return typeof args.at(-1) === 'function' ? undefined : sent;
  };
  const client = new Proxy(lent, {
    get(target, property) {
      if (ended)
        throw new TransactionRequiredError('The transaction has ended, and its handle was used afterwards');
      if (property === 'query') return query;
      if (property === 'getTransactionStatus') return () => transaction.status;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  return {
    client,
    revoke: () => {
      ended = true;
    },
  };
}

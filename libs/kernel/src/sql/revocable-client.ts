import type pg from 'pg';
import { TransactionRequiredError } from '../errors/errors.js';

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
 */
export function lendClient(lent: pg.PoolClient): RevocableClient {
  let ended = false;
  const client = new Proxy(lent, {
    get(target, property) {
      if (ended)
        throw new TransactionRequiredError('The transaction has ended, and its handle was used afterwards');
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

import { has, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { lendTransaction } from './lend-transaction.js';
import { joinPgBeneath } from './pg-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of `Knex.Transaction` that Waybill uses. */
export interface KnexTransaction {
  isCompleted(): boolean;
  readonly executionPromise: Promise<unknown>;
}

/** The part of Knex that opens transactions. */
export interface KnexTransactions<Handle extends KnexTransaction> {
  transaction<T>(
    work: (trx: Handle) => Promise<T>,
    config?: { isolationLevel?: 'read committed' },
  ): Promise<T>;
}

const INSTEAD = 'the trx that knex.transaction(async (trx) => …) passes to its callback, before it ends';

/**
 * Knex: a transaction, including nested ones. `client.acquireConnection()` of a transaction returns the pg client that
 * it holds; `trx.raw` would treat `?` as a binding and read int8 as text.
 */
export const joinKnex: TransactionAdapter = (handle, options) => {
  if (typeof handle !== 'function' || !has(handle, 'raw') || !has(handle, 'client', 'object'))
    return undefined;
  const trx = handle as unknown as KnexTransaction & {
    readonly isTransaction?: boolean;
    readonly client: { acquireConnection(): Promise<unknown> };
  };
  if (trx.isTransaction !== true || !has(trx, 'isCompleted'))
    throw noTransaction('Knex itself was passed, outside any transaction', INSTEAD);
  if (trx.isCompleted()) throw noTransaction('A Knex transaction that has ended was passed', INSTEAD);
  const client = (): Promise<unknown> => trx.client.acquireConnection();
  return joinPgBeneath({ client, what: 'A Knex transaction', instead: INSTEAD }, options);
};

/** Opens transactions by `knex.transaction`; the handle is a `Knex.Transaction`. */
export function knexOpener<Handle extends KnexTransaction>(
  knex: KnexTransactions<Handle>,
): TransactionOpener<Handle> {
  return {
    kind: 'knex',
    open: (work) => knex.transaction(work, { isolationLevel: 'read committed' }),
    // Knex itself refuses every query that is sent after COMMIT or ROLLBACK.
    lend: (handle) =>
      lendTransaction(handle, { what: 'transaction', refused: ['commit', 'rollback', 'destroy'] }),
  };
}

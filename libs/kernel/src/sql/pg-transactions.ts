import type pg from 'pg';
import { invariant, TransactionRequiredError } from '../errors/errors.js';
import type { PgDatabase } from './pg-pool.js';
import { lendClient } from './revocable-client.js';
import { type PgQueryable, PgSession } from './pg-session.js';
import type { SqlSession } from './sql-session.js';
import { HandlerAbandoned, type TransactionRunner, type TransactionWork } from './transaction-runner.js';

/** Runs transactions of handlers, and business transactions, on a pool of pg connections. */
export class PgTransactionRunner implements TransactionRunner<pg.PoolClient> {
  readonly kind = 'pg';

  /** @param prepared whether Waybill's own statements within the transactions are kept prepared on their connections */
  constructor(
    private readonly database: PgDatabase,
    private readonly prepared: boolean = true,
  ) {}

  get session(): SqlSession {
    return this.database.session;
  }

  async run<T>(transaction: TransactionWork<pg.PoolClient, T>): Promise<T> {
    const { timeoutMs } = transaction;
    invariant(Number.isSafeInteger(timeoutMs), 'a time-out must be a whole number');
    return this.database.withConnection(async (connection) => {
      // A process that stops in here must not hold its locks for longer than this.
      await connection.client.query(
        `begin isolation level read committed; set local idle_in_transaction_session_timeout = ${timeoutMs}; ` +
          `set local lock_timeout = ${timeoutMs}`,
      );
      const { client, revoke } = lendClient(connection.client as pg.PoolClient);
      try {
        const session = new PgSession(connection.client as PgQueryable, connection.schema, this.prepared);
        const work = transaction.work({ session, handle: client });
        const result = await withinTime(work, timeoutMs).finally(revoke);
        // Outside a transaction the last statements would take effect by themselves, COMMIT or not.
        if (connection.client.getTransactionStatus() === 'I')
          throw new TransactionRequiredError('The work has ended its transaction itself');
        await connection.runBatch(transaction.last?.(result) ?? [], { commit: true });
        return result;
      } catch (error) {
        // An abandoned handler may still send statements: its connection is closed instead (see withConnection).
        if (!(error instanceof HandlerAbandoned)) await connection.rollback();
        throw error;
      }
    });
  }
}

async function withinTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new HandlerAbandoned(timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // Whatever an abandoned handler ends with, it has been dealt with already.
    work.catch(() => {});
  }
}

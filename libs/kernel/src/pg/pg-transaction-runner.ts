import type pg from 'pg';
import { invariant } from '../errors/invariant.js';
import { TransactionRequiredError } from '../errors/usage-errors.js';
import { withinTime } from '../loop/within-time.js';
import { cancelStatement } from './cancel-statement.js';
import type { PgDatabase } from './pg-database.js';
import { lendClient } from './lend-client.js';
import { PgTransaction } from './pg-transaction.js';
import type { SqlSession } from '../sql/sql-session.js';
import {
  HandlerAbandonedError,
  TransactionLostError,
  type TransactionRunner,
  type TransactionWork,
} from '../sql/transaction-runner.js';

/** The handle of a pg transaction: its client, lent until the transaction ends. */
export type PgTransactionHandle = pg.PoolClient;

/** Runs transactions of handlers, and business transactions, on a pool of pg connections. */
export class PgTransactionRunner implements TransactionRunner<PgTransactionHandle> {
  readonly kind = 'pg';
  readonly resetsSession = true;

  /** @param prepared whether Waybill's own statements in the transactions are kept prepared on their connections */
  constructor(
    private readonly database: PgDatabase,
    private readonly prepared: boolean = true,
  ) {}

  get session(): SqlSession {
    return this.database.session;
  }

  async run<T>(transaction: TransactionWork<pg.PoolClient, T>): Promise<T> {
    const { timeoutMs } = transaction;
    invariant(Number.isSafeInteger(timeoutMs), 'a time-out must be an integer');
    return this.database.withConnection(async (connection) => {
      const open = new PgTransaction(connection, this.prepared, timeoutMs);
      const loan = lendClient(connection.client as pg.PoolClient, open);
      let isCommitting = false;
      try {
        const result = await withinTime(
          transaction.work({ session: open, handle: loan.client }),
          timeoutMs,
          () => new HandlerAbandonedError(timeoutMs),
        );
        loan.end();
        open.close();
        isCommitting = true;
        if (!(await open.commit(transaction.last?.(result) ?? [], loan.wasUsed)))
          throw new TransactionRequiredError('The work has ended its transaction itself');
        return result;
      } catch (error) {
        loan.revoke();
        open.close();
        // Abandoned work may still have a statement running: its connection is closed, which rolls back as well.
        if (error instanceof HandlerAbandonedError) {
          open.abandon();
          await cancelStatement(connection.client as pg.PoolClient);
        } else if (!(await open.rollback(loan.wasUsed))) throw new TransactionLostError(error, isCommitting);
        throw error;
      }
    });
  }
}

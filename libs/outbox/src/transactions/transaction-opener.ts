import type { SqlSession } from '@waybill/kernel';
import type { LentTransaction } from './lend-transaction.js';

/** How an ORM opens transactions, and what else it needs for them. */
export interface TransactionOpener<Handle> {
  /** `typeorm`, `knex`: for messages and tests. */
  readonly kind: string;
  /**
   * Opens a READ COMMITTED transaction around `work`: commits when it resolves, rolls back when it rejects.
   * @param timeoutMs time limit for the work; the ORM's own limit, if any, must be longer
   */
  open<T>(work: (handle: Handle) => Promise<T>, timeoutMs: number): Promise<T>;
  /** Runs single statements outside any transaction. Default: each in its own transaction. */
  readonly alone?: (schema: string) => SqlSession;
  /** Makes the handle unusable when its work has ended, if the ORM does not. */
  readonly lend?: (handle: Handle) => LentTransaction<Handle>;
  /** Writes the ORM's pending changes when the work has ended. */
  readonly flush?: (handle: Handle) => Promise<void>;
  /** Wraps the session in which Waybill runs its own statements. */
  readonly session?: (session: SqlSession, handle: Handle) => SqlSession;
}

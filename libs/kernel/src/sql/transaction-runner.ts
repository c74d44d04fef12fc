import type { BoundStatement } from './bound-statement.js';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import type { SqlSession } from './sql-session.js';

/** An open transaction: Waybill's session in it, and the user's handle. */
export interface OpenTransaction<Handle> {
  readonly session: SqlSession;
  /** The handle for handlers: a pg client, Prisma's transaction client. */
  readonly handle: Handle;
}

/** Work to run in a transaction. */
export interface TransactionWork<Handle, T> {
  /** When it throws, the transaction is rolled back. */
  readonly work: (transaction: OpenTransaction<Handle>) => Promise<T>;
  /** The last statements, sent together with COMMIT if the driver supports that; when one fails, all is rolled back. */
  readonly last?: (result: T) => readonly BoundStatement[];
  /** The transaction is abandoned when `work` has not ended after this time, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Opens transactions in the database that a handler writes to, with the driver or ORM of the user's choice.
 * Implemented for pg and for Prisma.
 */
export interface TransactionRunner<Handle = unknown> {
  /** `pg`, `prisma`: for messages and tests. */
  readonly kind: string;
  /**
   * Whether `resetSession` undoes all that the work has set in its session. If not, messages share a transaction only where
   * their subscription asks for that. Default: it does not.
   */
  readonly resetsSession?: boolean;
  /** Outside any transaction, for identity checks at startup. */
  readonly session: SqlSession;
  /**
   * Runs work in a READ COMMITTED transaction: commits when it resolves, rolls back when it throws.
   * @throws HandlerAbandonedError when `work` has not ended within `timeoutMs`
   * @throws TransactionLostError when the connection was lost, whether or not `work` caught that
   */
  run<T>(transaction: TransactionWork<Handle, T>): Promise<T>;
}

/** The work did not end in time; its transaction is rolled back and its connection closed, so it can write no more. */
export class HandlerAbandonedError extends Error {
  override readonly name = 'HandlerAbandonedError';

  constructor(readonly afterMs: number) {
    super(`the work in a transaction did not end within ${afterMs} ms`);
  }
}

/** A transaction whose connection was lost after it had been opened. */
export class TransactionLostError extends DatabaseUnavailableError {
  /** @param mayBeCommitted whether COMMIT may have been sent: the transaction's outcome is then unknown */
  constructor(
    cause: unknown,
    readonly mayBeCommitted: boolean,
  ) {
    const outcome = mayBeCommitted
      ? 'it is not known whether it was committed: check for its rows before you run it again'
      : 'it was rolled back';
    super(`The connection of an open transaction was lost; ${outcome}`, { cause });
  }
}

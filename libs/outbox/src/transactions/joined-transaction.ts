import { type BoundStatement, type SqlSession, TransactionRequiredError } from '@waybill/kernel';

/** A caller's transaction, as Waybill works with it. */
export interface JoinedTransaction {
  readonly session: SqlSession;
  /** Runs statements in one round trip; absent where the driver sends them one by one. */
  readonly runTogether?: (statements: readonly BoundStatement[]) => Promise<void>;
  /** Calls back when the transaction has ended; absent where the driver does not tell. The same callback is kept once. */
  readonly onEnd?: (callback: () => void) => void;
  /**
   * Tells of the loss of the connection, and keeps it from ending the process, which it does to a pg client that nobody
   * listens to; returns what calls that off. A statement under way fails all the same.
   */
  readonly onLost?: (lost: () => void) => () => void;
  /**
   * Closes the connection, so that a handle that is still held can write nothing more; resolves when it is closed. Absent
   * where the ORM refuses what comes late.
   */
  readonly cutOff?: () => Promise<void>;
}

/** How statements are run in a transaction that is joined. */
export interface JoinOptions {
  /** Waybill's schema in the database. */
  readonly schema: string;
  /** Whether statements are kept prepared on connections of pg. */
  readonly prepared: boolean;
}

/**
 * Knows the transactions of one driver or ORM by their shape, without importing it.
 * @returns undefined for what is not of its kind
 * @throws TransactionRequiredError for what is of its kind and no open transaction
 */
export type TransactionAdapter = (handle: unknown, options: JoinOptions) => JoinedTransaction | undefined;

/** The error for something that is not an open transaction. `instead` says what to pass: "the `tx` that …". */
export function noTransaction(what: string, instead?: string, cause?: unknown): TransactionRequiredError {
  return new TransactionRequiredError(what, {
    ...(instead === undefined ? {} : { instead }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Whether `value` has a member of this name and type. */
export function has(value: unknown, name: string, type = 'function'): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as Record<string, unknown>)[name] === type;
}

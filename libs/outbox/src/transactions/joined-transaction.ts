import { type BoundStatement, type SqlSession, TransactionRequiredError } from '@waybill/kernel';

/** A caller's transaction, as Waybill uses it. */
export interface JoinedTransaction {
  readonly session: SqlSession;
  /** Runs statements in one round trip; absent if the driver sends them one by one. */
  readonly runTogether?: (statements: readonly BoundStatement[]) => Promise<void>;
  /**
   * Calls back when the transaction has ended; absent if the driver does not report it. The same callback is registered
   * once.
   */
  readonly onEnd?: (callback: () => void) => void;
  /**
   * Reports the loss of the connection, and keeps it from ending the process, as it does for a pg client without a
   * listener; returns a function that stops it. A running statement still fails.
   */
  readonly onLost?: (lost: () => void) => () => void;
  /**
   * Closes the connection, so that a handle still in use cannot write any more; resolves when it is closed. Absent
   * if the ORM refuses late statements.
   */
  readonly cutOff?: () => Promise<void>;
}

/** How statements run in a joined transaction. */
export interface JoinOptions {
  /** Waybill's schema in the database. */
  readonly schema: string;
  /** Whether statements are kept prepared on connections of pg. */
  readonly prepared: boolean;
}

/**
 * Recognises the transactions of one driver or ORM by their shape, without importing it.
 * @returns undefined for a value of another kind
 * @throws TransactionRequiredError for one of its kind that is not an open transaction
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

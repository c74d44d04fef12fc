import type { BoundStatement, SqlSession } from '@waybill/kernel';
import type { MessageToCollect } from '@waybill/log';

/** Kinds of timers, as in the table. */
export const TIMER_KIND = { message: 1, recurring: 2 } as const;

/** A timer that is being fired. Times in milliseconds since the epoch. */
export interface DueTimer {
  readonly id: number;
  readonly kind: number;
  readonly dueMs: number;
  readonly messageId: string | null;
  readonly token: string | null;
  readonly topic: string | null;
  readonly partition: number | null;
  readonly key: string | null;
  /** An object as JSON text. */
  readonly headers: string | null;
  readonly payload: Buffer | null;
}

/** The pass in which timers are fired: one transaction, in which they have been deleted. */
export interface FiringPass {
  /** A session for reads in the pass's transaction. */
  readonly session: SqlSession;
  /** The database's clock when they were found due. */
  readonly nowMs: number;
  /** Appends a message to the log in this transaction; one that cannot be appended is set aside instead. */
  append(message: MessageToCollect, timer: DueTimer): void;
  /** Sets a timer aside that cannot be fired because of `error`. */
  setAside(timer: DueTimer, error: unknown): void;
  /** Runs a statement in this transaction, together with its COMMIT. */
  run(statement: BoundStatement): void;
}

/**
 * The effect of firing one kind of timer, in the transaction that deletes it: both happen, or neither. A timer that
 * cannot be fired for its own reason must be set aside: a thrown error stops all of them.
 */
export interface TimerEffect {
  readonly kind: number;
  /** @param timers of this kind, in order of due time */
  fire(timers: readonly DueTimer[], pass: FiringPass): Promise<void>;
}

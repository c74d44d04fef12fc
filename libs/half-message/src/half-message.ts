import type { Message } from '@waybill/outbox';

/** States of a half message: PREPARED and UNDECIDED are open; a prepared one that is being checked is `checking`. */
export type HalfMessageState = 'prepared' | 'checking' | 'undecided' | 'committed' | 'rolled-back';

/** The states as stored in the table. */
export const STATE = { prepared: 1, committed: 2, rolledBack: 3, undecided: 4 } as const;

/** Result of a check. `unknown` counts towards `checkMax`; a check that throws or times out does not. */
export type HalfMessageVerdict = 'commit' | 'rollback' | 'unknown';

/** One message, or several that are delivered together or not at all. */
export type MessagesOfHalf = Message | readonly Message[];

/** A half message that has just been prepared. */
export interface PreparedHalf {
  /** Its id, for {@link HalfMessages.commit} and {@link HalfMessages.rollback}. */
  readonly id: string;
  /** By the database's clock. */
  readonly preparedAt: Date;
}

/** One message of a half, as passed to a check. */
export interface MessageToCheck {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded on access. */
  readonly payload: unknown;
}

/** A half message whose local work a check is to find out about. */
export interface HalfToCheck {
  readonly id: string;
  readonly group: string;
  readonly preparedAt: Date;
  /** Number of earlier checks that returned UNKNOWN. */
  readonly checks: number;
  readonly messages: readonly MessageToCheck[];
  /** Aborts at the check's time limit. */
  readonly signal: AbortSignal;
}

/**
 * A check of the user's: whether the local work of a half message has taken effect. `rollback` is final: return
 * `unknown` for work that may still succeed later.
 */
export type CheckBack = (half: HalfToCheck) => HalfMessageVerdict | Promise<HalfMessageVerdict>;

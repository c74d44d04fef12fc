import type { Message } from '@waybill/outbox';

/** What a half message is: PREPARED and UNDECIDED are open, a prepared one that is being asked about is `checking`. */
export type HalfMessageState = 'prepared' | 'checking' | 'undecided' | 'committed' | 'rolled-back';

/** The states as they stand in the table. */
export const STATE = { prepared: 1, committed: 2, rolledBack: 3, undecided: 4 } as const;

/** What a check answers. `unknown` counts against `checkMax`; a check that throws or hangs does not. */
export type HalfMessageVerdict = 'commit' | 'rollback' | 'unknown';

/** One message, or several of which all are delivered or none. */
export type MessagesOfHalf = Message | readonly Message[];

/** A half message that has just been prepared. */
export interface PreparedHalf {
  /** Names it for {@link HalfMessages.commit} and {@link HalfMessages.rollback}. */
  readonly id: string;
  /** By the database's clock. */
  readonly preparedAt: Date;
}

/** One message of a half, as a check sees it. */
export interface MessageToCheck {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded when it is asked for. */
  readonly payload: unknown;
}

/** A half message whose local transaction a check is asked about. */
export interface HalfToCheck {
  readonly id: string;
  readonly group: string;
  readonly preparedAt: Date;
  /** How often it was asked about before, and the answer was UNKNOWN. */
  readonly checks: number;
  readonly messages: readonly MessageToCheck[];
  /** Aborts at the check's time-out. */
  readonly signal: AbortSignal;
}

/**
 * A check of the user's: whether the local work of a half message has taken effect. `rollback` is final: work that may
 * still succeed later is `unknown`.
 */
export type CheckBack = (half: HalfToCheck) => HalfMessageVerdict | Promise<HalfMessageVerdict>;

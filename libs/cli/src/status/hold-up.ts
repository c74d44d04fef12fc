import type { State } from './section.js';

/** The database that a hold-up is in; `both` where service and bus share one. */
export type Place = 'service' | 'bus' | 'both';

/** Something that holds Waybill up, or will. Fields that the server does not tell, or not to this login, are null. */
export interface HoldUp {
  /**
   * `transaction`: an open one, or the session that others wait for; `prepared`: a prepared one; `blocked`: a session that
   * waits for a lock; `slot`: a replication slot.
   */
  readonly kind: 'transaction' | 'prepared' | 'blocked' | 'slot';
  readonly where: Place;
  readonly state: State;
  readonly text: string;
  readonly advice: string;
  readonly pid?: number;
  /** The name of a prepared transaction, or of a slot. */
  readonly name?: string;
  readonly login?: string | null;
  readonly application?: string | null;
  /** `active`, `idle in transaction`, …. */
  readonly sessionState?: string | null;
  /** How long it has been so: the transaction is open, the session waits, the slot is unused. */
  readonly ageMs: number | null;
  /** How many transactions ago the oldest row was deleted that it keeps. */
  readonly xidAge?: number | null;
  readonly retainedBytes?: number | null;
  /** Its last statement, without literals. */
  readonly query?: string | null;
  /** What it holds on Waybill's tables: table and mode. */
  readonly locks: readonly string[];
  /** The sessions that wait for it. */
  readonly blocks: readonly number[];
  /** The sessions that it waits for; 0 is a prepared transaction. */
  readonly blockedBy?: readonly number[];
}

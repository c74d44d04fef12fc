import type { ConnectionLosses } from './connection-losses.js';

/** Where a lane begins. */
export interface LaneStart {
  /** Everything below is done. */
  readonly position: number;
  /** Records below may have taken a process down, and run alone. */
  readonly suspectEnd: number;
  /** Records that may have ended their connection, and run alone as well. */
  readonly losses: ConnectionLosses;
  /** Records that this process has been charged for since it took the partition over, and that have not ended. */
  readonly charged: Set<number>;
  /** Parked messages that may have taken an earlier owner's process down, and have not run to an end since. */
  readonly parkedSuspects: Set<number>;
  /** Whether this process has had a lane on the partition since it took it over: nothing has taken it down meanwhile. */
  readonly again: boolean;
}

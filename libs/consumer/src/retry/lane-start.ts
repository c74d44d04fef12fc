import type { ConnectionLosses } from './connection-losses.js';
import type { OwnCharges } from './own-charges.js';

/** The state with which a lane starts. */
export interface LaneStart {
  /** Everything below this offset is done. */
  readonly position: number;
  /** Records below this offset may have crashed a process, and run alone. */
  readonly suspectEnd: number;
  /** Records that may have ended their connection, and run alone as well. */
  readonly losses: ConnectionLosses;
  /** What this process was charged for since it acquired the partition. */
  readonly charged: OwnCharges;
  /** Unfinished parked messages that may have crashed an earlier owner's process. */
  readonly parkedSuspects: Set<number>;
  /** Whether this process had a lane on the partition before: no crash has happened since then. */
  readonly again: boolean;
}

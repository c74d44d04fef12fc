import type { Ownership } from '@waybill/log';
import { ConnectionLosses } from '../retry/connection-losses.js';
import type { PartitionLane } from './partition-lane.js';

/** A partition that this process owns, and how it has fared with it. */
export interface OwnedPartition {
  ownership: Ownership;
  /** Whether something may have been written under this epoch already: the next lane begins by raising it. */
  written: boolean;
  /** Whether a lane has been open before. */
  opened: boolean;
  readonly losses: ConnectionLosses;
  /** Records that have been charged for being begun alone by this process, and that have not ended. */
  readonly charged: Set<number>;
  /** Parked messages that may have taken an earlier owner's process down, and have not run to an end since. */
  readonly parkedSuspects: Set<number>;
  /** Records below may have taken an earlier owner's process down. */
  suspectEnd: number;
  /** The open lane; replaced when it has stopped. */
  lane: PartitionLane | undefined;
  failure: string | undefined;
  failures: number;
  /** When it may be opened (again), by the monotonic clock. */
  openAt: number;
}

/** A partition that has just been assigned. */
export function newlyOwned(ownership: Ownership): OwnedPartition {
  return {
    ownership,
    written: false,
    opened: false,
    losses: new ConnectionLosses(),
    charged: new Set(),
    parkedSuspects: new Set(),
    suspectEnd: 0,
    lane: undefined,
    failure: undefined,
    failures: 0,
    openAt: 0,
  };
}

import type { Ownership } from '@waybill/log';
import { ConnectionLosses } from '../retry/connection-losses.js';
import { OwnCharges } from '../retry/own-charges.js';
import type { PartitionLane } from './partition-lane.js';

/** A partition that this process owns, and the history of its lanes. */
export interface OwnedPartition {
  ownership: Ownership;
  /** Whether something may have been written in this epoch already: the next lane starts by raising it. */
  written: boolean;
  /** Whether a lane was open before. */
  opened: boolean;
  readonly losses: ConnectionLosses;
  /** What this process was charged for when it started records alone. */
  readonly charged: OwnCharges;
  /** Unfinished parked messages that may have crashed an earlier owner's process. */
  readonly parkedSuspects: Set<number>;
  /** Records below this offset may have crashed an earlier owner's process. */
  suspectEnd: number;
  /** The open lane; replaced when it has stopped. */
  lane: PartitionLane | undefined;
  failure: string | undefined;
  failures: number;
  /** When it may be opened (again), by the monotonic clock. */
  openAt: number;
}

/** Creates the state of a partition that was just assigned. */
export function newlyOwned(ownership: Ownership): OwnedPartition {
  return {
    ownership,
    written: false,
    opened: false,
    losses: new ConnectionLosses(),
    charged: new OwnCharges(),
    parkedSuspects: new Set(),
    suspectEnd: 0,
    lane: undefined,
    failure: undefined,
    failures: 0,
    openAt: 0,
  };
}

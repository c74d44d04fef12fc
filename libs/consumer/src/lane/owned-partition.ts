import type { Grant } from '@waybill/log';
import type { Ownership } from '../progress/progress-owners.js';
import { ConnectionLosses } from '../retry/connection-losses.js';
import { OwnCharges } from '../retry/own-charges.js';
import type { PartitionLane } from './partition-lane.js';

/** A partition that is granted to this process, and the history of its lanes. */
export interface OwnedPartition {
  readonly grant: Grant;
  /** Once it was taken in the service's database. */
  ownership: Ownership | undefined;
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
export function newlyOwned(grant: Grant): OwnedPartition {
  return {
    grant,
    ownership: undefined,
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

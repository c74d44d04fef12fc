import type { LaneRecord } from '../record/lane-record.js';
import type { Batch } from './lane-window.js';
import type { ParkedEntry } from '../parked/parked-queue.js';

/** What runs next in a lane. */
export type LaneJob =
  | { readonly parked: ParkedEntry; readonly alone: boolean }
  | { readonly parked: undefined; readonly batch: Batch<LaneRecord>; readonly alone: boolean };

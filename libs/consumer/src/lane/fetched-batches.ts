import type { FetchedBatch } from '@waybill/log';
import { type LaneRecord, laneRecords } from '../record/lane-record.js';
import type { LaneWindow } from './lane-window.js';

/**
 * The batches that a lane has fetched. They are decoded in parts, as their records are needed: a batch of a backlog may have
 * tens of thousands, which take many times the memory of its bytes.
 */
export class FetchedBatches {
  readonly #batches: FetchedBatch[] = [];
  /** Whether the checksum of the first one was compared. */
  #isVerified = false;

  constructor(private readonly window: LaneWindow<LaneRecord>) {}

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  add(batch: FetchedBatch): void {
    this.#batches.push(batch);
  }

  /** Forgets what was not decoded: it is fetched again. */
  clear(): void {
    this.#batches.length = 0;
    this.#isVerified = false;
  }

  /** Decodes records until this number of them waits in the window. @throws CorruptRecordError */
  fill(most: number): void {
    const { window } = this;
    for (
      let [batch] = this.#batches;
      batch !== undefined && window.pendingCount < most;
      [batch] = this.#batches
    ) {
      const records = laneRecords(batch, { fromOffset: window.nextOffset, most, verify: !this.#isVerified });
      this.#isVerified = true;
      const last = records.length < most ? batch.lastOffset : (records.at(-1)?.offset ?? batch.lastOffset);
      window.add(records, last, batch.checksum);
      if (last < batch.lastOffset) continue;
      this.#batches.shift();
      this.#isVerified = false;
    }
  }
}

import type { BoundStatement } from '@waybill/kernel';
import type { PartitionProgress } from '@waybill/log';
import type { Permit } from '../delivery/permits.js';
import type { VerdictWriter } from '../delivery/verdict-writer.js';

/**
 * How far ahead of the records that run the in-flight marker is put, in records, so that it need not be put again for each.
 * It may be beyond the end of the log: what had not been written when a process crashed is not suspected.
 */
const MARKER_AHEAD = 64;

/**
 * What the database knows of a lane: the position below which everything is done, and the in-flight marker below which
 * records may have been begun. A crash leaves the two apart, and so shows the next owner where to be careful.
 */
export class LaneProgress {
  #position: number;
  #marker: number;
  #storing: Promise<void> = Promise.resolve();

  constructor(
    private readonly progress: PartitionProgress,
    private readonly writer: VerdictWriter,
    position: number,
    marker: number,
  ) {
    this.#position = position;
    this.#marker = marker;
  }

  /** The position as it is stored. */
  get position(): number {
    return this.#position;
  }

  /** The statement that stores a position together with the effect of the records below it. A last statement: it fences. */
  advance(position: number): BoundStatement {
    return this.progress.advance(position, this.#markerAhead(position));
  }

  /** Takes note that what {@link advance} gave for this position has been committed. */
  committed(position: number): void {
    this.#marker = this.#markerAhead(position);
    this.#position = position;
  }

  /** Whether records below `end` are known to the database as perhaps begun. */
  covers(end: number): boolean {
    return end <= this.#marker;
  }

  /**
   * Puts the marker at least at `end`, and some way ahead so that it need not be put again for each record.
   * @param permit of the delivery that waits for it
   */
  async cover(end: number, position: number, permit: Permit): Promise<void> {
    if (this.covers(end)) return this.#storing;
    return this.#store(position, this.#markerAhead(end), permit);
  }

  /** Stores a position; the marker stays where it is. */
  async store(position: number): Promise<void> {
    if (position !== this.#position) await this.#store(position, Math.max(this.#marker, position));
  }

  /** Stores a position with nothing in flight: the end of a lane that has come to rest. */
  async storeAtRest(position: number): Promise<void> {
    await this.#storing.catch(() => {});
    if (position !== this.#position || position !== this.#marker) await this.#store(position, position);
  }

  /** The commit of one batch also says how far the next may have been begun. */
  #markerAhead(end: number): number {
    return Math.max(this.#marker, end + MARKER_AHEAD);
  }

  /** Stores one after the other, so that an older position never follows a newer one. */
  #store(position: number, marker: number, permit?: Permit): Promise<void> {
    const before = this.#storing;
    const storing = (async () => {
      await before.catch(() => {});
      await this.writer.write([this.progress.advance(position, marker)], permit);
      this.#position = position;
      this.#marker = marker;
    })();
    storing.catch(() => {});
    this.#storing = storing;
    return storing;
  }
}

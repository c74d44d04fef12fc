import type { BoundStatement } from '@waybill/kernel';
import type { PartitionProgress } from '@waybill/log';
import type { Permit } from '../delivery/permits.js';
import type { VerdictWriter } from '../delivery/verdict-writer.js';

/**
 * How far ahead of the running records the in-flight marker is stored, in records, so that it need not be moved for
 * each. It may be beyond the end of the log: records that did not exist when a process crashed are not suspects.
 */
const MARKER_AHEAD = 64;

/**
 * A lane's state in the database: the position below which everything is done, and the in-flight marker below which
 * records may have been started. After a crash the two differ, which shows the next owner the suspects.
 */
export class LaneProgress {
  #position: number;
  #marker: number;
  /** The newest store that has not ended; undefined if none is running. */
  #storing: Promise<void> | undefined;

  constructor(
    private readonly progress: PartitionProgress,
    private readonly writer: VerdictWriter,
    position: number,
    marker: number,
  ) {
    this.#position = position;
    this.#marker = marker;
  }

  /** The stored position. */
  get position(): number {
    return this.#position;
  }

  /**
   * The statement that stores a position together with the effect of the records below it. It must be the last
   * statement: it fences.
   */
  advance(position: number): BoundStatement {
    return this.progress.advance(position, this.#markerAhead(position));
  }

  /** Records that the statement of {@link advance} for this position has been committed. */
  committed(position: number): void {
    this.#marker = this.#markerAhead(position);
    this.#position = position;
  }

  /** Whether the stored marker covers records below `end`. */
  covers(end: number): boolean {
    return end <= this.#marker;
  }

  /**
   * Moves the marker to at least `end`, with a margin so that it need not be moved for each record.
   * @param permit of the delivery that waits for it
   */
  async cover(end: number, position: number, permit: Permit): Promise<void> {
    if (!this.covers(end)) await this.#store(position, this.#markerAhead(end), permit);
  }

  /** Stores a position without moving the marker. */
  async store(position: number): Promise<void> {
    if (position !== this.#position) await this.#store(position, Math.max(this.#marker, position));
  }

  /** Stores a position with nothing in flight, when a lane comes to rest. */
  async storeAtRest(position: number): Promise<void> {
    await this.#storing?.catch(() => {});
    if (position !== this.#position || position !== this.#marker) await this.#store(position, position);
  }

  /** The commit of one batch also moves the marker for the next one. */
  #markerAhead(end: number): number {
    return Math.max(this.#marker, end + MARKER_AHEAD);
  }

  /** Stores positions one after the other, so that an older one never follows a newer one. */
  #store(position: number, marker: number, permit?: Permit): Promise<void> {
    const before = this.#storing;
    const storing = (async () => {
      // The store before may wait for a permit to repeat itself: all must not be held by those that wait for it.
      if (before !== undefined) await (permit?.awaitWithout(before) ?? before.catch(() => {}));
      await this.writer.write([this.progress.advance(position, marker)], permit);
      this.#position = position;
      this.#marker = marker;
    })();
    this.#storing = storing;
    const ended = (): void => {
      if (this.#storing === storing) this.#storing = undefined;
    };
    storing.then(ended, ended);
    return storing;
  }
}

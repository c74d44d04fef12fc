import type { BoundStatement } from '@waybill/kernel';
import type { Permit } from '../delivery/permits.js';
import type { VerdictWriter } from '../delivery/verdict-writer.js';
import type { PartitionProgress } from '../progress/partition-progress.js';
import type { LaneRecord } from '../record/lane-record.js';
import type { LaneWindow } from './lane-window.js';

/**
 * How far ahead of the running records the in-flight marker is stored, in records, so that it need not be moved for
 * each. It may be beyond the end of the log: records that did not exist when a process crashed are not suspects.
 */
const MARKER_AHEAD = 64;

/** A position and an in-flight marker, as they are stored together. */
interface Stored {
  readonly position: number;
  readonly marker: number;
}

/**
 * A lane's state in the database: the position below which everything is done, and the in-flight marker below which
 * records may have been started. After a crash the two differ, which shows the next owner the suspects.
 */
export class LaneProgress {
  #position: number;
  #marker: number;
  /** The store that is running, if any. */
  #storing: Promise<void> | undefined;
  #waiting = 0;

  constructor(
    private readonly progress: PartitionProgress,
    private readonly writer: VerdictWriter,
    position: number,
    marker: number,
    private readonly window: Pick<LaneWindow<LaneRecord>, 'checksumAt'>,
  ) {
    this.#position = position;
    this.#marker = marker;
  }

  /**
   * Whether deliveries wait for a store without their permits. Until they go on, no others should be started: more would run
   * then than there were permits for.
   */
  get isAwaited(): boolean {
    return this.#waiting > 0;
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
    return this.#advance(position, this.#markerAhead(position));
  }

  #advance(position: number, marker: number): BoundStatement {
    return this.progress.advance(position, marker, this.window.checksumAt(position, this.#position));
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
    const next = (): Stored => ({
      position: Math.max(position, this.#position),
      marker: this.#markerAhead(end),
    });
    await this.#store(() => (this.covers(end) ? undefined : next()), permit);
  }

  /**
   * Stores a position without moving the marker.
   * @param permit of the delivery that waits for it, if one does
   */
  async store(position: number, permit?: Permit): Promise<void> {
    const next = (): Stored => ({ position, marker: Math.max(this.#marker, position) });
    await this.#store(() => (position > this.#position ? next() : undefined), permit);
  }

  /** Stores a position with nothing in flight, when a lane comes to rest. */
  async storeAtRest(position: number): Promise<void> {
    await this.#store(() =>
      position !== this.#position || position !== this.#marker ? { position, marker: position } : undefined,
    );
  }

  /** The commit of one batch also moves the marker for the next one. */
  #markerAhead(end: number): number {
    return Math.max(this.#marker, end + MARKER_AHEAD);
  }

  /**
   * Stores one after the other, so that an older position never follows a newer one. Who waits holds no permit: the store that
   * it waits for may need one.
   * @param next what to store when it is its turn; undefined if the stores before it have done that
   */
  async #store(next: () => Stored | undefined, permit?: Permit): Promise<void> {
    while (this.#storing !== undefined) await this.#wait(this.#storing, permit);
    const stored = next();
    if (stored === undefined) return;
    this.#storing = this.#write(stored, permit);
    try {
      await this.#storing;
    } finally {
      this.#storing = undefined;
    }
  }

  async #wait(storing: Promise<void>, permit?: Permit): Promise<void> {
    if (permit === undefined) return storing.catch(() => {});
    this.#waiting += 1;
    await permit.awaitWithout(storing);
    this.#waiting -= 1;
  }

  async #write({ position, marker }: Stored, permit?: Permit): Promise<void> {
    await this.writer.write([this.#advance(position, marker)], permit);
    this.#position = position;
    this.#marker = marker;
  }
}

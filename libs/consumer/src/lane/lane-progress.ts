import type { BoundStatement } from '@waybill/kernel';
import type { Permit } from '../delivery/permits.js';
import type { Verdict, VerdictWriter } from '../delivery/verdict-writer.js';
import type { PartitionProgress } from '../progress/partition-progress.js';
import type { LaneRecord } from '../record/lane-record.js';
import type { LaneWindow } from './lane-window.js';

/**
 * How far ahead of the running records the in-flight marker is stored, in records, so that it need not be moved for
 * each. It may be beyond the end of the log: records that did not exist when a process crashed are not suspects.
 */
const MARKER_AHEAD = 128;

/** A position and an in-flight marker, as they are stored together. */
interface Stored {
  readonly position: number;
  readonly marker: number;
}

/** A position that is being stored with an effect. */
interface Advance extends Stored {
  /** Resolves when it is committed, or is known not to be, or the lane ends. */
  readonly settled: Promise<void>;
  readonly settle: () => void;
}

function newAdvance(stored: Stored): Advance {
  let settle = (): void => {};
  const settled = new Promise<void>((resolve) => (settle = resolve));
  return { ...stored, settled, settle };
}

/**
 * A lane's state in the database: the position below which everything is done, and the in-flight marker below which
 * records may have been started. After a crash the two differ, which shows the next owner the suspects.
 */
export class LaneProgress {
  #position: number;
  #marker: number;
  /** The highest marker that is stored, or is about to be. */
  #planned: number;
  /** Positions that are being stored with an effect. The highest decides, with its marker, when it is committed. */
  readonly #advancing = new Set<Advance>();
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
    this.#planned = marker;
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
   * A verdict that stores a position together with the effect of the records below it.
   * @param marks of records at or above the position
   */
  advance(position: number, marks: readonly BoundStatement[], committed: () => void): Verdict {
    const advance = newAdvance({ position, marker: this.#markerAhead(position) });
    this.#advancing.add(advance);
    const settled = (): void => {
      this.#advancing.delete(advance);
      advance.settle();
    };
    return {
      statements: [...marks, this.#advance(advance)],
      committed: () => {
        this.#stored(advance);
        settled();
        committed();
      },
      failed: settled,
    };
  }

  #advance({ position, marker }: Stored): BoundStatement {
    return this.progress.advance(position, marker, this.window.checksumAt(position, this.#position));
  }

  /** The highest position is the newest. */
  #stored({ position, marker }: Stored): void {
    if (position < this.#position) return;
    this.#position = position;
    this.#marker = marker;
    this.#planned = Math.max(this.#planned, marker);
  }

  /** Whether the stored marker covers records below `end`, also if a position that is being stored becomes the newest. */
  covers(end: number): boolean {
    return end <= this.#marker && this.#lower(end) === undefined;
  }

  #lower(end: number): Advance | undefined {
    for (const advance of this.#advancing) if (advance.marker < end) return advance;
    return undefined;
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
    // What is stored with an effect from now on has this marker.
    this.#planned = this.#markerAhead(end);
    while (!this.covers(end)) {
      const lower = this.#lower(end);
      if (lower === undefined) await this.#store(() => (this.covers(end) ? undefined : next()), permit);
      else await this.#wait(lower.settled, permit);
    }
  }

  /**
   * Stores a position without moving the marker.
   * @param permit of the delivery that waits for it, if one does
   */
  async store(position: number, permit?: Permit): Promise<void> {
    const next = (): Stored => ({ position, marker: Math.max(this.#planned, position) });
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
    return Math.max(this.#planned, end + MARKER_AHEAD);
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

  async #write(stored: Stored, permit?: Permit): Promise<void> {
    await this.writer.write([this.#advance(stored)], permit);
    this.#stored(stored);
  }
}

/** The properties of a record that a window needs. */
export interface WindowRecord {
  readonly offset: number;
  readonly key: string | null;
}

/** Records to run together. With `alone`, nothing else of the partition may run meanwhile. */
export interface Batch<R> {
  readonly records: readonly R[];
  readonly alone: boolean;
}

/** Maximum number of pending records that `take` searches for one whose key is free. */
const LOOK_AHEAD = 1_000;

/**
 * The part of a partition that a lane is working on: which records wait, which run, which are done. It decides what may
 * run next; it accesses no database and no clock.
 *
 * - In order `partition` one batch runs at a time. In order `key` a record may run when no record of its key runs or
 *   waits before it.
 * - Suspects, which may have taken a process down or ended their connection, run one at a time, alone.
 * - `position` is the offset below which everything is done.
 */
export class LaneWindow<R extends WindowRecord> {
  #next: number;
  /** Waiting records by offset, ascending. */
  #pending = new Map<number, R>();
  /** Offsets that are waiting or running, ascending. */
  readonly #open = new Map<number, boolean>();
  /** Keys of records that run or wait between two attempts, and the number of these records. */
  readonly #busyKeys = new Map<string, number>();
  readonly #marked: Set<number>;
  /** The batches that hold the record before the stored position and all later ones, in order. */
  readonly #batches: { readonly lastOffset: number; readonly checksum: number | undefined }[];
  #running = 0;

  /**
   * @param position the group's position
   * @param marked offsets from the position on that already have a verdict
   * @param suspectEnd records below this offset run alone
   * @param isSuspect tells which other records run alone
   * @param checksum of the batch that holds the record before the position, if known
   */
  constructor(
    private readonly order: 'key' | 'partition',
    position: number,
    marked: ReadonlySet<number>,
    private readonly suspectEnd: number,
    private readonly isSuspect: (offset: number) => boolean = () => false,
    checksum?: number,
  ) {
    this.#batches = [{ lastOffset: position - 1, checksum }];
    this.#next = position;
    this.#marked = new Set(marked);
  }

  /** The offset to fetch from. */
  get nextOffset(): number {
    return this.#next;
  }

  /** Everything below this offset is done. */
  get position(): number {
    for (const offset of this.#open.keys()) return offset;
    return this.#next;
  }

  /** Records waiting. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Records being run, or waiting between two attempts. */
  get runningCount(): number {
    return this.#running;
  }

  /** The distance from the oldest record that is not done to the newest that was fetched. */
  get span(): number {
    return this.#next - this.position;
  }

  /**
   * The checksum of the batch that holds the record before a position, if known.
   * @param stored no position below this one is asked for later
   */
  checksumAt(position: number, stored: number): number | undefined {
    while ((this.#batches[0]?.lastOffset ?? Infinity) < stored - 1) this.#batches.shift();
    return this.#batches.find(({ lastOffset }) => lastOffset >= position - 1)?.checksum;
  }

  /** Of the batch that holds the newest record that was added, or the one before the position if none was. */
  get newestChecksum(): number | undefined {
    return this.#batches.at(-1)?.checksum;
  }

  /** Adds the records of a fetched batch, whose last offset is `lastOffset`. */
  add(records: readonly R[], lastOffset: number, checksum?: number): void {
    if (lastOffset >= this.#next) this.#batches.push({ lastOffset, checksum });
    for (const record of records) {
      if (record.offset < this.#next) continue;
      if (this.#marked.delete(record.offset)) continue;
      this.#pending.set(record.offset, record);
      this.#open.set(record.offset, true);
    }
    this.#next = Math.max(this.#next, lastOffset + 1);
  }

  /** Whether a record of this key runs, or waits between two attempts. */
  isBusy(key: string | null): boolean {
    return key !== null && this.#busyKeys.has(key);
  }

  /** Waiting records whose keys are blocked by parked messages, at most `most`; they count as running. */
  takeBlocked(isBlocked: (key: string | null) => boolean, most: number): readonly R[] {
    const records: R[] = [];
    for (const record of this.#pending.values()) {
      if (records.length >= most) break;
      if (isBlocked(record.key) && !this.isBusy(record.key)) records.push(record);
    }
    if (records.length > 0) this.#start(records, false);
    return records;
  }

  /**
   * The records to run next, at most `most`; empty if nothing may run now.
   * @param isBlocked tells the keys whose records have to wait for parked messages
   */
  take(most: number, isBlocked: (key: string | null) => boolean = () => false): Batch<R> | undefined {
    const first = this.#pending.values().next().value;
    if (first === undefined) return undefined;
    if (this.#mustRunAlone(first)) {
      return this.#running > 0 || isBlocked(first.key) ? undefined : this.#start([first], true);
    }
    if (this.order === 'partition') {
      if (this.#running > 0) return undefined;
      return this.#start([...this.#firstPending(most)], false);
    }
    const records: R[] = [];
    let looked = 0;
    for (const record of this.#pending.values()) {
      looked += 1;
      if (this.#mustRunAlone(record)) break;
      if (!this.isBusy(record.key) && !isBlocked(record.key)) records.push(record);
      if (records.length >= most || looked >= LOOK_AHEAD) break;
    }
    return records.length === 0 ? undefined : this.#start(records, false);
  }

  /** Records verdicts: the keys of these records are free again. */
  done(records: readonly R[]): void {
    for (const record of records) {
      this.#open.delete(record.offset);
      this.#stop(record);
    }
  }

  /** The position when these records are done, too. */
  positionWith(records: readonly R[]): number {
    const ended = new Set(records.map(({ offset }) => offset));
    for (const offset of this.#open.keys()) if (!ended.has(offset)) return offset;
    return this.#next;
  }

  /** Puts records that were not run back, in their old order. */
  putBack(records: readonly R[]): void {
    if (records.length === 0) return;
    for (const record of records) this.#stop(record);
    const all = [...records, ...this.#pending.values()].toSorted((a, b) => a.offset - b.offset);
    this.#pending = new Map(all.map((record) => [record.offset, record]));
  }

  #mustRunAlone({ offset }: R): boolean {
    return offset < this.suspectEnd || this.isSuspect(offset);
  }

  #start(records: readonly R[], alone: boolean): Batch<R> {
    for (const record of records) {
      this.#pending.delete(record.offset);
      if (record.key !== null) this.#busyKeys.set(record.key, (this.#busyKeys.get(record.key) ?? 0) + 1);
    }
    this.#running += records.length;
    return { records, alone };
  }

  #stop(record: R): void {
    this.#running -= 1;
    if (record.key === null) return;
    const others = (this.#busyKeys.get(record.key) ?? 1) - 1;
    if (others === 0) this.#busyKeys.delete(record.key);
    else this.#busyKeys.set(record.key, others);
  }

  *#firstPending(most: number): Generator<R> {
    let count = 0;
    for (const record of this.#pending.values()) {
      if (count >= most || this.#mustRunAlone(record)) return;
      count += 1;
      yield record;
    }
  }
}

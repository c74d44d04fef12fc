/** A parked message in its lane's memory. */
export interface ParkedEntry {
  readonly offset: number;
  readonly key: string | null;
  /** Number of attempts that count. */
  attempts: number;
  /** When its next attempt is due, by the monotonic clock; Infinity while an operator has to decide. */
  dueAt: number;
  /** When its first attempt failed, by the monotonic clock; undefined if none has. */
  failingSince: number | undefined;
  fromDeadLetter: boolean;
  /** Its charges when the lane was opened. */
  readonly crashes: number;
  /** Whether its row has been committed; until then it only keeps its place. */
  stored: boolean;
}

/** Each waiting key has a queue; so has each message without a key, by its offset. */
type QueueName = string | number;

interface Queue {
  /** Ascending by offset. */
  readonly entries: ParkedEntry[];
  running: boolean;
}

interface Appointment {
  readonly at: number;
  readonly name: QueueName;
}

/**
 * The parked messages of a partition: the first of each key has a due time, and the others wait for it. It decides
 * which may run; it accesses no database and no clock.
 */
export class ParkedQueue {
  readonly #queues = new Map<QueueName, Queue>();
  /** Ascending by time. Outdated entries are skipped. */
  readonly #agenda: Appointment[] = [];
  #size = 0;
  #running = 0;
  #awaitingOperator = 0;

  /** @param order in order `partition`, all messages wait in one queue */
  constructor(private readonly order: 'key' | 'partition') {}

  /** Number of messages waiting or running. */
  get size(): number {
    return this.#size;
  }

  /** Number of messages running. */
  get runningCount(): number {
    return this.#running;
  }

  /** Number of queues whose first message an operator has to decide on. */
  get awaitingOperatorCount(): number {
    return this.#awaitingOperator;
  }

  /** Whether messages of this key have to wait for others. */
  isBlocked(key: string | null): boolean {
    return key !== null && this.#queues.has(key);
  }

  /** When the next message is due; Infinity if there is none. It is sometimes too early. */
  get nextDueAt(): number {
    return this.#agenda[0]?.at ?? Infinity;
  }

  /** Adds a message, after the earlier ones of its key. An existing entry is not changed. */
  add(entry: ParkedEntry): void {
    const name = this.#nameOf(entry);
    const queue = this.#queues.get(name) ?? { entries: [], running: false };
    this.#queues.set(name, queue);
    const at = lowerBound(queue.entries, (other) => other.offset < entry.offset);
    if (queue.entries[at]?.offset === entry.offset) return;
    const before = awaitsOperator(queue);
    queue.entries.splice(at, 0, entry);
    this.#size += 1;
    this.#countAwaitingOperator(before, queue);
    if (at === 0) this.#appoint(name, queue);
  }

  /** The entry with this key and offset, if it waits or runs here. */
  find(key: string | null, offset: number): ParkedEntry | undefined {
    const entries = this.#queues.get(this.#nameOf({ key, offset }))?.entries ?? [];
    const found = entries[lowerBound(entries, (other) => other.offset < offset)];
    return found?.offset === offset ? found : undefined;
  }

  /** Every entry whose dead letter an operator has to decide on. */
  *awaitingOperator(): Generator<ParkedEntry> {
    for (const { entries } of this.#queues.values()) {
      const first = entries[0];
      if (first?.dueAt === Infinity) yield first;
    }
  }

  /** The next message that is due; it runs until {@link finish} or {@link again}. @param mayRun called with its key */
  take(now: number, mayRun: (entry: ParkedEntry) => boolean): ParkedEntry | undefined {
    for (let index = 0; index < this.#agenda.length;) {
      const { at, name } = this.#agenda[index] as Appointment;
      if (at > now) return undefined;
      const queue = this.#queues.get(name);
      const first = queue?.entries[0];
      const holds = queue !== undefined && first !== undefined && !queue.running && first.dueAt === at;
      if (holds && !mayRun(first)) {
        index += 1;
        continue;
      }
      this.#agenda.splice(index, 1);
      if (!holds) continue;
      queue.running = true;
      this.#running += 1;
      return first;
    }
    return undefined;
  }

  /** A running message and those that follow it in its queue. */
  following(entry: ParkedEntry, most: number): readonly ParkedEntry[] {
    const entries = this.#queues.get(this.#nameOf(entry))?.entries ?? [];
    const from = entries.indexOf(entry);
    const stop = entries.findIndex(
      (other, index) => index > from && (!other.stored || other.dueAt === Infinity),
    );
    return entries.slice(from, Math.min(from + most, stop === -1 ? entries.length : stop));
  }

  /** Removes a running message; the next of its key may follow. */
  finish(entry: ParkedEntry): void {
    const name = this.#nameOf(entry);
    const queue = this.#queues.get(name);
    if (queue === undefined) return;
    const before = awaitsOperator(queue);
    const at = queue.entries.indexOf(entry);
    if (at >= 0) {
      queue.entries.splice(at, 1);
      this.#size -= 1;
    }
    this.#release(queue);
    this.#countAwaitingOperator(before, queue);
    if (queue.entries.length === 0) this.#queues.delete(name);
    else this.#appoint(name, queue);
  }

  /** Makes a running message wait (again), until its `dueAt`. */
  again(entry: ParkedEntry, dueAt: number): void {
    const name = this.#nameOf(entry);
    const queue = this.#queues.get(name);
    if (queue === undefined) return;
    this.#release(queue);
    this.#change(name, queue, entry, dueAt);
    // An earlier one may have been added while it ran: it is the queue's turn now.
    if (queue.entries[0] !== entry) this.#appoint(name, queue);
  }

  /** Changes the due time of a waiting message. */
  reschedule(entry: ParkedEntry, dueAt: number): void {
    const name = this.#nameOf(entry);
    const queue = this.#queues.get(name);
    if (queue !== undefined && entry.dueAt !== dueAt) this.#change(name, queue, entry, dueAt);
  }

  /** Records that the rows of these entries have been committed. */
  stored(entries: readonly ParkedEntry[]): void {
    for (const entry of entries) {
      entry.stored = true;
      const name = this.#nameOf(entry);
      const queue = this.#queues.get(name);
      if (queue?.entries[0] === entry) this.#appoint(name, queue);
    }
  }

  #change(name: QueueName, queue: Queue, entry: ParkedEntry, dueAt: number): void {
    const before = awaitsOperator(queue);
    entry.dueAt = dueAt;
    this.#countAwaitingOperator(before, queue);
    if (queue.entries[0] === entry) this.#appoint(name, queue);
  }

  #release(queue: Queue): void {
    if (queue.running) this.#running -= 1;
    queue.running = false;
  }

  #countAwaitingOperator(before: boolean, queue: Queue): void {
    this.#awaitingOperator += Number(awaitsOperator(queue)) - Number(before);
  }

  #appoint(name: QueueName, queue: Queue): void {
    const first = queue.entries[0];
    if (first === undefined || queue.running || !first.stored || first.dueAt === Infinity) return;
    const at = lowerBound(this.#agenda, (other) => other.at <= first.dueAt);
    this.#agenda.splice(at, 0, { at: first.dueAt, name });
  }

  #nameOf({ key, offset }: Pick<ParkedEntry, 'key' | 'offset'>): QueueName {
    return this.order === 'partition' ? 0 : (key ?? offset);
  }
}

function awaitsOperator({ entries }: Queue): boolean {
  return entries[0]?.dueAt === Infinity;
}

/** Number of elements at the front that are `before`. (Binary search.) */
function lowerBound<T>(sorted: readonly T[], before: (element: T) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(sorted[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}

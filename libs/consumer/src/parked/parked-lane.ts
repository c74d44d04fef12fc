import type { BoundStatement } from '@waybill/kernel';
import { type DeadLetterReason, deadLetterResolved } from '@waybill/dead-letter';
import type { LaneRecord } from '../record/lane-record.js';
import { countsAs, type Failing, type LaneAttempts } from '../retry/lane-attempts.js';
import { type CrashVerdict, crashVerdict } from '../retry/crash-verdict.js';
import type { LaneStart } from '../retry/lane-start.js';
import type { LaneEnvironment } from '../retry/lane-context.js';
import { type ParkedEntry, ParkedQueue } from './parked-queue.js';
import { type BegunMessage, type ParkedRow, ParkedStore, type MessageToPark } from './parked-store.js';
import type { Permit } from '../delivery/permits.js';

/** Parked messages of a key that are begun together, so that draining a key does not cost a commit more for each. */
const BEGUN_TOGETHER = 16;
/** Messages that are kept in memory at most because they were begun before their turn. */
const MOST_BEGUN = 128;

/** A row that an operator has put beside the log, or may take from there. */
export interface RedrivenRow {
  readonly offset: number;
  readonly key: string | null;
  readonly dueInMs: number | null;
}

/**
 * The messages of a partition that wait beside the log: those that failed, those of their keys behind them, and those
 * that operators redrive. Their rows are the truth; the lane of the partition's owner alone runs them, in order of their
 * offsets within a key.
 */
export class ParkedLane {
  readonly queue: ParkedQueue;
  readonly #store: ParkedStore;
  /** Messages that were begun together with one before them, and wait for their turn. */
  readonly #begun = new Map<number, BegunMessage>();

  constructor(
    private readonly environment: LaneEnvironment,
    private readonly attempts: LaneAttempts,
    private readonly start: Pick<LaneStart, 'again' | 'losses'>,
  ) {
    const { context, subscription, progress } = environment;
    this.queue = new ParkedQueue(subscription.concurrency);
    this.#store = new ParkedStore(context.groupId, progress);
  }

  get #now(): number {
    return this.environment.context.clock.monotonic();
  }

  /** How many more messages may be put beside the log. */
  get room(): number {
    return Math.max(0, this.environment.context.maxParked - this.queue.size);
  }

  /** Whether the whole partition has to wait for an operator. */
  get blocksPartition(): boolean {
    if (this.queue.awaitingOperatorCount === 0) return false;
    return (
      this.environment.subscription.concurrency === 'partition' ||
      this.environment.topic.onDeadLetter === 'block'
    );
  }

  /** Whether a message may have taken a process down or ended its connection, and so runs alone. */
  isSuspect({ offset, crashed }: ParkedEntry): boolean {
    return crashed || this.start.losses.isSuspect(offset);
  }

  /** Takes in what waits already, before anything of the partition runs. */
  load(rows: readonly ParkedRow[]): void {
    const now = this.#now;
    for (const row of rows) {
      this.queue.add({
        offset: row.offset,
        key: row.key,
        attempts: row.attempts,
        dueAt: row.dueInMs === null ? Infinity : now + row.dueInMs,
        failingSince: row.failingForMs === null ? undefined : now - row.failingForMs,
        // What was in flight when this process lost a connection has taken no process down.
        crashed: row.inFlight && !this.start.again,
        fromDeadLetter: row.fromDeadLetter,
        stored: true,
      });
    }
  }

  /**
   * Puts messages from the log beside it.
   * @param verdicts what says in the log's own terms that they are done with there; ends with the fence
   */
  async park(
    orders: readonly MessageToPark[],
    verdicts: readonly BoundStatement[],
    permit: Permit,
  ): Promise<void> {
    const now = this.#now;
    const entries = orders.map(({ record, attempts, delayMs, failingForMs }): ParkedEntry => {
      return {
        offset: record.offset,
        key: record.key,
        attempts,
        dueAt: delayMs === 'decision' ? Infinity : now + (delayMs ?? 0),
        failingSince: failingForMs === null ? undefined : now - failingForMs,
        crashed: false,
        fromDeadLetter: delayMs === 'decision',
        stored: false,
      };
    });
    // They keep their permits before they are committed, so that nothing of their keys can slip by meanwhile.
    for (const entry of entries) this.queue.add(entry);
    await this.attempts.settle([this.#store.park(orders), ...verdicts], permit);
    // Their due times count from the insert, which is over.
    const late = this.#now - now;
    for (const entry of entries) if (entry.dueAt !== Infinity) entry.dueAt += late;
    this.queue.stored(entries);
    this.environment.context.counters.parked += entries.length;
  }

  /** Runs a parked message whose time has come. */
  async work(entry: ParkedEntry, permit: Permit): Promise<void> {
    const begun = await this.#begin(entry, permit);
    // Decided by an operator, or not due after all, as its row says.
    if (begun === undefined) return this.queue.finish(entry);
    if (begun.dueInMs !== 0) {
      return this.queue.again(entry, begun.dueInMs === null ? Infinity : this.#now + begun.dueInMs);
    }
    const verdict = this.#verdict(entry, begun);
    if (verdict !== undefined) {
      const { reason, error } = verdict;
      return this.#deadLetter(entry, this.#failing(entry, begun.record, error, 0), reason, error, permit);
    }
    const record: LaneRecord = { ...begun.record, isRedriven: entry.fromDeadLetter };
    if ((await this.attempts.expired([record], permit)).length > 0)
      return this.#expire(entry, record, permit);
    await this.#attempt(entry, record, permit);
  }

  /** Why a message that runs alone is given up, when it has done so too often. */
  #verdict({ offset }: ParkedEntry, { crashes }: BegunMessage): CrashVerdict | undefined {
    const { maxCrashes } = this.environment.context;
    if (crashes > maxCrashes) return crashVerdict('process-crashed', crashes - 1);
    const losses = Math.floor(this.start.losses.count(offset));
    return losses >= maxCrashes ? crashVerdict('connection-lost', losses) : undefined;
  }

  /** Follows what operators have done: rows that appeared, rows whose decision has been made. */
  reconcile(rows: readonly RedrivenRow[]): void {
    const now = this.#now;
    const undecided = new Set(this.queue.awaitingOperator());
    for (const { offset, key, dueInMs } of rows) {
      const dueAt = dueInMs === null ? Infinity : now + dueInMs;
      const known = this.queue.find(key, offset);
      if (known === undefined) {
        this.queue.add({
          offset,
          key,
          attempts: 0,
          dueAt,
          failingSince: undefined,
          crashed: false,
          fromDeadLetter: true,
          stored: true,
        });
      } else if (known.dueAt === Infinity && dueInMs !== null) {
        this.#decided(known, dueAt);
      }
      if (known !== undefined && dueInMs === null) undecided.delete(known);
    }
    // A row that is not there any more was discarded, or is too new for this look: its own row will tell.
    for (const entry of undecided) if (entry.dueAt === Infinity) this.queue.reschedule(entry, now);
  }

  /** Says, for a partition that comes to rest, that nothing runs any more. */
  rest(): BoundStatement[] {
    return [this.#store.rest()];
  }

  #decided(entry: ParkedEntry, dueAt: number): void {
    entry.attempts = 0;
    entry.failingSince = undefined;
    entry.fromDeadLetter = true;
    this.queue.reschedule(entry, dueAt);
  }

  /** Reads the message, with some behind it, after noting that it may be begun. */
  async #begin(entry: ParkedEntry, permit: Permit): Promise<BegunMessage | undefined> {
    const before = this.#begun.get(entry.offset);
    this.#begun.delete(entry.offset);
    const isAlone = this.isSuspect(entry);
    if (before !== undefined && entry.attempts === 0 && !isAlone) return before;
    const lone = isAlone || this.#begun.size >= MOST_BEGUN;
    const together = lone ? [entry] : this.queue.following(entry, BEGUN_TOGETHER);
    const offsets = together
      .filter((other) => other === entry || !this.isSuspect(other))
      .map(({ offset }) => offset);
    const { progress } = this.environment;
    const begin = this.#store.begin(offsets, entry.crashed);
    const [rows] = await this.attempts.settle([begin, progress.fence()], permit);
    const begun = this.#store.begun(rows);
    for (const [offset, message] of begun) if (offset !== entry.offset) this.#begun.set(offset, message);
    return begun.get(entry.offset);
  }

  async #attempt(entry: ParkedEntry, record: LaneRecord, permit: Permit): Promise<void> {
    for (;;) {
      const { failed } = await this.attempts.run([record], entry.attempts + 1, permit, (done) =>
        done.length === 0 ? [this.environment.progress.fence()] : this.#gone(entry),
      );
      if (failed === undefined) return this.#finish(entry);
      const failing = this.#failing(entry, record, failed.error, countsAs(failed.error));
      const decision = this.attempts.decide(failing);
      if (decision.kind === 'drop') {
        await this.attempts.settle(this.#gone(entry), permit);
        this.attempts.reportDropped(failing, decision.reason);
        return this.#finish(entry);
      }
      if (decision.kind === 'dead-letter')
        return this.#deadLetter(entry, failing, decision.reason, decision.error, permit);
      entry.attempts = failing.attempts;
      entry.crashed = false;
      if (decision.delayMs > 0) return this.#delay(entry, failing, decision.delayMs, permit);
      await this.attempts.pauseBeforeRetry(0, permit);
    }
  }

  async #delay(entry: ParkedEntry, failing: Failing, delayMs: number, permit: Permit): Promise<void> {
    const { progress } = this.environment;
    await this.attempts.settle([this.#store.delay({ ...failing, delayMs }), progress.fence()], permit);
    this.queue.again(entry, this.#now + delayMs);
  }

  async #deadLetter(
    entry: ParkedEntry,
    failing: Failing,
    reason: DeadLetterReason,
    error: unknown,
    permit: Permit,
  ): Promise<void> {
    const { progress, topic } = this.environment;
    const letters = await this.attempts.deadLetter(failing, reason, error, permit);
    const stays = topic.onDeadLetter !== 'unblock';
    const verdict = stays
      ? this.#store.delay({ ...failing, delayMs: 'decision' })
      : this.#store.remove(entry.offset);
    await this.attempts.settle([...letters, verdict, progress.fence()], permit);
    this.attempts.reportDeadLetter(failing, reason, error);
    if (!stays) return this.#finish(entry);
    this.start.losses.clear(entry.offset);
    entry.crashed = false;
    entry.fromDeadLetter = true;
    this.queue.again(entry, Infinity);
  }

  async #expire(entry: ParkedEntry, record: LaneRecord, permit: Permit): Promise<void> {
    const { context, topic } = this.environment;
    context.counters.expired += 1;
    const error = new Error('it was past its expiresAt when its turn came');
    const failing = this.#failing(entry, record, error, 0);
    if (topic.onExpired === 'dead-letter') return this.#deadLetter(entry, failing, 'expired', error, permit);
    await this.attempts.settle(this.#gone(entry), permit);
    this.#finish(entry);
  }

  #finish(entry: ParkedEntry): void {
    this.start.losses.clear(entry.offset);
    this.queue.finish(entry);
  }

  /** What takes a message away for good, under the fence. */
  #gone({ offset, fromDeadLetter }: ParkedEntry): BoundStatement[] {
    const { context, progress } = this.environment;
    const { partitionId } = progress.ownership;
    const resolved = fromDeadLetter ? [deadLetterResolved(context.groupId, partitionId, offset)] : [];
    return [this.#store.remove(offset), ...resolved, progress.fence()];
  }

  #failing(entry: ParkedEntry, record: LaneRecord, error: unknown, counts: 0 | 1): Failing {
    entry.failingSince ??= this.#now;
    return {
      record,
      error,
      attempts: entry.attempts + counts,
      failingForMs: this.#now - entry.failingSince,
    };
  }
}

import type { BoundStatement } from '@waybill/kernel';
import { deadLetterResolved } from '@waybill/dead-letter';
import type { FailedRecord } from '../delivery/delivery-transaction.js';
import type { Permit } from '../delivery/permits.js';
import { plainVerdict, type Verdict } from '../delivery/verdict-writer.js';
import type { LaneRecord } from '../record/lane-record.js';
import { type CrashVerdict, crashVerdict } from '../retry/crash-verdict.js';
import {
  expire,
  type FailureTools,
  followFailure,
  type FollowedMessage,
  giveUp,
} from '../retry/follow-failure.js';
import type { LaneStart } from '../retry/lane-start.js';
import { type ParkedEntry, ParkedQueue } from './parked-queue.js';
import { type BegunMessage, type MessageToPark, type ParkedRow, ParkedStore } from './parked-store.js';

/**
 * Number of parked messages of a key that are started together, so that draining a key does not need an extra commit
 * for each.
 */
const BEGUN_TOGETHER = 16;
/** Maximum number of messages kept in memory because they were started before their turn. */
const MOST_BEGUN = 128;

/** The row of a parked message that an operator redrives or may discard. */
export interface RedrivenRow {
  readonly offset: number;
  readonly key: string | null;
  readonly dueInMs: number | null;
}

/**
 * The parked messages of a partition: those that failed, later ones of their keys, and those that operators redrive.
 * Their rows are authoritative; only the lane of the partition's owner runs them, in order of offset within a key.
 */
export class ParkedLane {
  readonly queue: ParkedQueue;
  readonly #store: ParkedStore;
  /** Messages that were started together with an earlier one and wait for their turn. */
  readonly #begun = new Map<number, BegunMessage>();

  constructor(
    private readonly tools: FailureTools,
    private readonly start: Pick<LaneStart, 'again' | 'losses' | 'charged' | 'parkedSuspects'>,
  ) {
    const { context, subscription, progress } = tools.environment;
    this.queue = new ParkedQueue(subscription.concurrency);
    this.#store = new ParkedStore(context.groupId, progress);
  }

  get #now(): number {
    return this.tools.environment.context.clock.monotonic();
  }

  /** How many more messages may be parked. */
  get room(): number {
    return Math.max(0, this.tools.environment.context.maxParked - this.queue.size);
  }

  /**
   * Whether records of the log have to wait. In order `partition`, a message that an operator has redriven precedes
   * them until it has ended, retries included, unless its topic has let them pass.
   */
  get blocksLog(): boolean {
    const { subscription, topic } = this.tools.environment;
    if (subscription.concurrency === 'partition' && topic.onDeadLetter !== 'unblock')
      return this.queue.size > 0;
    return this.blocksPartition;
  }

  /** Whether the whole partition has to wait for an operator. */
  get blocksPartition(): boolean {
    if (this.queue.awaitingOperatorCount === 0) return false;
    return (
      this.tools.environment.subscription.concurrency === 'partition' ||
      this.tools.environment.topic.onDeadLetter === 'block'
    );
  }

  /** Whether a message may have crashed a process or ended its connection, and so runs alone. */
  isSuspect({ offset }: ParkedEntry): boolean {
    return this.start.parkedSuspects.has(offset) || this.start.losses.isSuspect(offset);
  }

  /** Adds the stored messages before anything of the partition runs. */
  load(rows: readonly ParkedRow[]): void {
    const now = this.#now;
    for (const row of rows) {
      // Messages in flight when this process lost a connection have not crashed a process.
      if (row.inFlight && !this.start.again) this.start.parkedSuspects.add(row.offset);
      this.queue.add({
        offset: row.offset,
        key: row.key,
        attempts: row.attempts,
        dueAt: row.dueInMs === null ? Infinity : now + row.dueInMs,
        failingSince: row.failingForMs === null ? undefined : now - row.failingForMs,
        fromDeadLetter: row.fromDeadLetter,
        crashes: row.crashes,
        stored: true,
      });
    }
  }

  /**
   * Parks messages from the log.
   * @param verdict on them in the log
   * @param more statements to commit with it
   */
  async park(
    messages: readonly MessageToPark[],
    verdict: Verdict,
    permit: Permit,
    more: readonly BoundStatement[],
  ): Promise<void> {
    const now = this.#now;
    const entries = messages.map(({ record, attempts, delayMs, failingForMs }): ParkedEntry => {
      return {
        offset: record.offset,
        key: record.key,
        attempts,
        dueAt: delayMs === 'decision' ? Infinity : now + (delayMs ?? 0),
        failingSince: failingForMs === null ? undefined : now - failingForMs,
        fromDeadLetter: delayMs === 'decision',
        crashes: 0,
        stored: false,
      };
    });
    // The entries are added before the commit, so that no later message of their keys can overtake them.
    for (const entry of entries) this.queue.add(entry);
    await this.tools.writer.store(verdict, permit, [this.#store.park(messages), ...more]);
    // Due times count from the insert, which has now ended.
    const late = this.#now - now;
    for (const entry of entries) if (entry.dueAt !== Infinity) entry.dueAt += late;
    this.queue.stored(entries);
    this.tools.environment.context.counters.parked += entries.length;
  }

  /** Runs a parked message that is due. */
  async work(entry: ParkedEntry, permit: Permit): Promise<void> {
    const begun = await this.#begin(entry, permit);
    // An operator has decided, or it is not due after all, according to its row.
    if (begun === undefined) return this.#finish(entry);
    if (begun.dueInMs !== 0) {
      return this.queue.again(entry, begun.dueInMs === null ? Infinity : this.#now + begun.dueInMs);
    }
    // An operator has redriven it, which this process has not been told.
    if (begun.attempts < entry.attempts) {
      entry.attempts = begun.attempts;
      entry.failingSince = undefined;
    }
    const record: LaneRecord = { ...begun.record, isRedriven: entry.fromDeadLetter };
    const message = this.#followed(entry, record);
    const verdict = this.#crashVerdict(entry, begun);
    if (verdict !== undefined) return giveUp(this.tools, message, verdict, permit);
    const expired = await this.tools.attempts.expired([record], permit);
    if (expired.length > 0) return expire(this.tools, message, permit);
    const failed = await this.#attempt(entry, record, entry.attempts + 1, permit);
    if (failed !== undefined) await followFailure(this.tools, message, failed, permit);
  }

  /** Why a message that runs alone is set aside because it crashed too often. */
  #crashVerdict({ offset }: ParkedEntry, { crashes }: BegunMessage): CrashVerdict | undefined {
    const { maxCrashes } = this.tools.environment.context;
    return (
      crashVerdict('connection-lost', this.start.losses.count(offset), maxCrashes) ??
      crashVerdict('process-crashed', crashes - 1, maxCrashes)
    );
  }

  /** Follows operators' decisions: new rows, and rows whose decision has been made. */
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
          fromDeadLetter: true,
          crashes: 0,
          stored: true,
        });
      } else if (known.dueAt === Infinity && dueInMs !== null) {
        this.#decided(known, dueAt);
      }
      if (known !== undefined && dueInMs === null) undecided.delete(known);
    }
    // A missing row was discarded, or is newer than this query: reading that row decides.
    for (const entry of undecided) if (entry.dueAt === Infinity) this.queue.reschedule(entry, now);
  }

  /** Records, when a partition comes to rest, that nothing runs any more. */
  rest(): BoundStatement[] {
    return [this.#store.rest()];
  }

  #decided(entry: ParkedEntry, dueAt: number): void {
    entry.attempts = 0;
    entry.failingSince = undefined;
    entry.fromDeadLetter = true;
    this.queue.reschedule(entry, dueAt);
  }

  /** Reads the message, and some that follow it, after recording that it may be started. */
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
    const { progress } = this.tools.environment;
    const { charged, parkedSuspects } = this.start;
    // A process charges it once, however often its lane is reopened.
    const isCharged = parkedSuspects.has(entry.offset) && charged.missing(entry.offset, entry.crashes, 1) > 0;
    const begin = this.#store.begin(offsets, isCharged);
    const [rows] = await this.tools.writer.write([begin, progress.fence()], permit);
    const begun = this.#store.begun(rows);
    for (const [offset, message] of begun) if (offset !== entry.offset) this.#begun.set(offset, message);
    return begun.get(entry.offset);
  }

  /** Makes an attempt; resolves to undefined when the message is done. */
  async #attempt(
    entry: ParkedEntry,
    record: LaneRecord,
    attempt: number,
    permit: Permit,
  ): Promise<FailedRecord | undefined> {
    const { failed } = await this.tools.attempts.run([record], attempt, permit, () => this.#gone(entry));
    return failed;
  }

  /** A message that is followed until it ends. */
  #followed(entry: ParkedEntry, record: LaneRecord): FollowedMessage {
    const { progress } = this.tools.environment;
    return {
      record,
      history: entry,
      // The dead letter that it was redriven from is open again.
      verdict: (kind) =>
        kind === 'dead'
          ? plainVerdict([this.#store.remove(entry.offset), progress.fence()], () => this.#finish(entry))
          : this.#gone(entry),
      awaitOperator: async (failing, letter, permit) => {
        await this.#delay({ ...failing, delayMs: 'decision' }, letter, permit);
        this.start.losses.clear(entry.offset);
        this.#survived(entry);
        entry.fromDeadLetter = true;
        this.queue.again(entry, Infinity);
      },
      wait: async (failing, delayMs, permit) => {
        await this.#delay({ ...failing, delayMs }, [], permit);
        this.#survived(entry);
        this.queue.again(entry, this.#now + delayMs);
        return true;
      },
      survived: async () => this.#survived(entry),
      attempt: (attempt, permit) => this.#attempt(entry, record, attempt, permit),
    };
  }

  async #delay(message: MessageToPark, letter: readonly BoundStatement[], permit: Permit): Promise<void> {
    const { writer, environment } = this.tools;
    await writer.write([...letter, this.#store.delay(message), environment.progress.fence()], permit);
  }

  /** An attempt has ended without a crash. */
  #survived({ offset }: ParkedEntry): void {
    this.start.parkedSuspects.delete(offset);
    this.start.charged.clear(offset);
  }

  #finish(entry: ParkedEntry): void {
    this.start.losses.clear(entry.offset);
    this.#survived(entry);
    this.queue.finish(entry);
  }

  /** Removes a message for good. */
  #gone(entry: ParkedEntry): Verdict {
    const { offset, fromDeadLetter } = entry;
    const { context, progress } = this.tools.environment;
    const { partitionId } = progress.ownership;
    const resolved = fromDeadLetter ? [deadLetterResolved(context.groupId, partitionId, offset)] : [];
    return plainVerdict([this.#store.remove(offset), ...resolved, progress.fence()], () =>
      this.#finish(entry),
    );
  }
}

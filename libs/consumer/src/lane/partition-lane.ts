import type { FetchedBatch, LogHistory, ReportedPosition } from '@waybill/log';
import type { StoredProgress } from '../progress/partition-progress.js';
import { DeliveryTransaction } from '../delivery/delivery-transaction.js';
import { Permit } from '../delivery/permits.js';
import { RepeatedWork } from '../delivery/repeated-work.js';
import { VerdictWriter } from '../delivery/verdict-writer.js';
import { ParkedLane, type RedrivenRow } from '../parked/parked-lane.js';
import type { ParkedRow } from '../parked/parked-store.js';
import type { LaneRecord } from '../record/lane-record.js';
import { expire, type FailureTools, followFailure, giveUp } from '../retry/follow-failure.js';
import { LaneAttempts } from '../retry/lane-attempts.js';
import { fieldsOf, type LaneEnvironment } from '../retry/lane-context.js';
import type { LaneStart } from '../retry/lane-start.js';
import { CrashCharges } from './crash-charges.js';
import { FetchedBatches } from './fetched-batches.js';
import { LaneAlarm } from './lane-alarm.js';
import type { LaneJob } from './lane-job.js';
import { LaneJobs } from './lane-jobs.js';
import { LaneProgress } from './lane-progress.js';
import { type Batch, LaneWindow } from './lane-window.js';
import type { ReadPlace } from './log-check.js';
import { LogMessages } from './log-messages.js';

/** The position is stored when it is this far ahead of the stored one, and by {@link PartitionLane.tick}. */
const POSITION_STEP = 256;
/** Maximum number of decoded records that wait. */
const MOST_PENDING = 500;
/** Maximum distance between the oldest open record and the newest. */
const WIDEST_SPAN = 10_000;
/** Maximum number of records that are parked in one transaction. */
const PARKED_TOGETHER = 100;

/**
 * One partition that this process owns: accepts fetched batches, runs their records in the order that the subscription
 * asks for, parks what has to wait, stores dead letters, and advances the group's position. Everything it writes is
 * fenced by the owner's epoch; once fenced it stops permanently.
 */
export class PartitionLane {
  readonly #window: LaneWindow<LaneRecord>;
  readonly #fetched: FetchedBatches;
  readonly #abort = new AbortController();
  /** Cuts short the waits between attempts. */
  readonly #closing = new AbortController();
  readonly #writer: VerdictWriter;
  readonly #attempts: LaneAttempts;
  readonly #tools: FailureTools;
  readonly #parked: ParkedLane;
  readonly #log: LogMessages;
  readonly #jobs: LaneJobs;
  readonly #progress: LaneProgress;
  readonly #alarm: LaneAlarm;
  readonly #charges: CrashCharges;
  /** The batches that are running, by their permits, and when they began. */
  readonly #batches = new Map<Permit, number>();
  /** Since when records have waited for a batch handler that wants more of them. */
  #fillingSince: number | undefined;
  #parkedIsNext = true;
  #isParking = false;

  /**
   * @param parked the messages that are already parked
   * @param history of the log, with which the position was compared
   */
  constructor(
    private readonly environment: LaneEnvironment,
    stored: StoredProgress,
    private readonly start: LaneStart,
    parked: readonly ParkedRow[],
    private history: LogHistory,
  ) {
    const { context, subscription, topic, partition, progress } = environment;
    const { clock, logger, databases, group } = context;
    const closing = this.#closing.signal;
    const stopped = this.#abort.signal;
    const { position, suspectEnd, losses } = start;
    const isSuspect = (offset: number): boolean => losses.isSuspect(offset);
    const { concurrency } = subscription;
    const { marked, checksum } = stored;
    this.#window = new LaneWindow(concurrency, position, marked, suspectEnd, isSuspect, checksum);
    this.#fetched = new FetchedBatches(this.#window);
    const repeated = new RepeatedWork({ clock, logger, fields: fieldsOf(environment), closing });
    this.#writer = new VerdictWriter({ ...databases, stopped, repeated });
    const location = { topic: topic.name, partition, group };
    const deliveries = new DeliveryTransaction(
      databases,
      location,
      subscription,
      this.#writer,
      stopped,
      clock,
    );
    this.#attempts = new LaneAttempts(environment, deliveries, losses, repeated);
    this.#charges = new CrashCharges(environment, this.#writer, stored.charges, start);
    this.#tools = { environment, attempts: this.#attempts, writer: this.#writer };
    this.#parked = new ParkedLane(this.#tools, start);
    this.#parked.load(parked);
    this.#jobs = new LaneJobs(environment, closing, () => this.#stop());
    this.#alarm = new LaneAlarm(clock, context.wake, closing);
    this.#progress = new LaneProgress(progress, this.#writer, position, stored.inFlightEnd, this.#window);
    this.#log = new LogMessages(this.#tools, this.#parked, this.#progress, this.#charges, this.#window);
  }

  get partitionId(): number {
    return this.environment.progress.ownership.partitionId;
  }

  /** The offset to fetch from, or undefined while enough records wait. */
  get wanted(): number | undefined {
    if (this.#closing.signal.aborted || !this.#fetched.isEmpty) return undefined;
    if (this.#window.pendingCount >= MOST_PENDING || this.#window.span >= WIDEST_SPAN) return undefined;
    return this.#window.nextOffset;
  }

  /** True once it has been fenced or aborted; it never runs again. */
  get stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Whether its progress was read on this server of the service's database, or has been committed there since. */
  isOf(incarnation: number): boolean {
    return this.environment.progress.ownership.incarnation === incarnation;
  }

  /** How the log that it reads has changed since it was compared with what the lane has read. */
  changeTo({ logEpoch, incarnation }: LogHistory): 'none' | 'restarted' | 'healed' {
    if (logEpoch !== this.history.logEpoch) return 'healed';
    return incarnation === this.history.incarnation ? 'none' : 'restarted';
  }

  /** Notes that what the lane has read is what this history of the log holds. */
  confirm(history: LogHistory): void {
    this.history = history;
    this.#fetched.clear();
  }

  /** What it has read. */
  get place(): ReadPlace {
    const { nextOffset: offset, newestChecksum: checksum } = this.#window;
    return { partitionId: this.partitionId, offset, checksum };
  }

  /** Records below this offset may have crashed a process. */
  get suspectEnd(): number {
    return this.start.suspectEnd;
  }

  /** Whether a message has ended in this lane. */
  get hasProgressed(): boolean {
    return this.#attempts.hasProgressed;
  }

  /** Parked messages. */
  get parkedCount(): number {
    return this.#parked.queue.size;
  }

  /** Adds a fetched batch. */
  feed(batch: FetchedBatch): void {
    this.#fetched.add(batch);
  }

  /** Starts what may run, while there are permits. @throws CorruptRecordError for what was fed */
  pump(): void {
    const { breaker, context } = this.environment;
    this.#fetched.fill(MOST_PENDING);
    this.#parkBlocked();
    while (!this.#closing.signal.aborted && (breaker?.waitMs ?? 0) === 0) {
      const permit = context.permits.tryAcquire();
      if (permit === undefined) break;
      const job = this.#nextJob();
      if (job === undefined || job.alone) permit.releaseUnused();
      if (job === undefined) break;
      this.#start(job, job.alone ? context.permits.acquireExclusive() : permit);
    }
    const blockedMs = breaker?.waitMs ?? 0;
    const now = context.clock.monotonic();
    const nextAt = Math.min(this.#parked.queue.nextDueAt ?? Infinity, this.#notBefore(now) ?? Infinity);
    this.#alarm.set(blockedMs > 0 ? now + blockedMs : nextAt);
  }

  /**
   * Until when few waiting records wait for a batch of the lane that is just running, to share the next transaction: two side
   * by side would have two commits, and the upper one a mark for each record. A batch that takes longer than it should holds
   * nothing up.
   */
  #joinUntil(now: number): number | undefined {
    const { pendingCount } = this.#window;
    if (pendingCount === 0 || pendingCount >= this.#attempts.worthAnother) return undefined;
    const timeMs = this.#attempts.longestBatchMs;
    for (const [permit, startedAt] of this.#batches)
      if (permit.isHeld && startedAt + timeMs > now) return startedAt + timeMs;
    return undefined;
  }

  /** Until when the next batch of records from the log has to wait; undefined if it need not. */
  #notBefore(now: number): number | undefined {
    return this.#joinUntil(now) ?? this.#fillUntil(now);
  }

  /** Until when few waiting records wait for more, because their batch handler wants that. */
  #fillUntil(now: number): number | undefined {
    const { handling } = this.environment.subscription;
    const { pendingCount } = this.#window;
    if (handling.kind === 'single' || handling.waitMs === 0 || pendingCount === 0) return undefined;
    this.#fillingSince ??= now;
    const until = this.#fillingSince + handling.waitMs;
    return pendingCount >= this.#attempts.mostTogether || until <= now ? undefined : until;
  }

  /** Parked messages and those from the log take turns, so that neither blocks the other. */
  #nextJob(): LaneJob | undefined {
    const first = this.#parkedIsNext ? this.#nextParked() : this.#nextBatch();
    const job = first ?? (this.#parkedIsNext ? this.#nextBatch() : this.#nextParked());
    if (job !== undefined) this.#parkedIsNext = job.parked === undefined;
    return job;
  }

  #nextParked(): LaneJob | undefined {
    const { context, subscription } = this.environment;
    const inTurn = subscription.concurrency === 'partition';
    if (inTurn && this.#window.runningCount + this.#parked.queue.runningCount > 0) return undefined;
    const now = context.clock.monotonic();
    const blocked = this.#parked.blocksPartition;
    const entry = this.#parked.queue.take(
      now,
      ({ key, fromDeadLetter }) => !this.#window.isBusy(key) && (!blocked || fromDeadLetter),
    );
    if (entry === undefined) return undefined;
    if (entry.attempts > 0 && context.budget?.tryTake() === false) {
      this.#parked.queue.again(entry, now + context.budget.waitMs);
      return undefined;
    }
    return { parked: entry, alone: this.#parked.isSuspect(entry) };
  }

  #nextBatch(): LaneJob | undefined {
    const { subscription, breaker } = this.environment;
    const { queue } = this.#parked;
    if (this.#parked.blocksLog || this.#progress.isAwaited) return undefined;
    if (subscription.concurrency === 'partition' && queue.runningCount > 0) return undefined;
    if (this.#notBefore(this.environment.context.clock.monotonic()) !== undefined) return undefined;
    const most = breaker?.onlyOne === true ? 1 : this.#attempts.mostTogether;
    const batch = this.#window.take(most, (key) => queue.isBlocked(key));
    this.#fillingSince = undefined;
    this.#fetched.fill(MOST_PENDING);
    return batch && { parked: undefined, batch, alone: batch.alone };
  }

  #start(job: LaneJob, soon: Permit | Promise<Permit>): void {
    const { breaker, context } = this.environment;
    // The probe of a half-open breaker is one message: no other may start until the probe succeeds, fails or ends.
    const isProbe = breaker?.onlyOne === true;
    breaker?.begin();
    if (job.parked === undefined && soon instanceof Permit)
      this.#batches.set(soon, context.clock.monotonic());
    this.#jobs.start(async () => {
      const permit = await soon;
      try {
        if (job.parked === undefined) await this.#work(job.batch, permit);
        else if (!this.#closing.signal.aborted) await this.#parked.work(job.parked, permit);
      } finally {
        if (isProbe) breaker?.undecided();
        this.#batches.delete(permit);
        permit.release();
      }
    });
  }

  /** Parks records that are blocked by parked messages; this needs no handler. */
  #parkBlocked(): void {
    if (this.#isParking || this.#closing.signal.aborted) return;
    const { queue, room } = this.#parked;
    if (queue.size === 0 || this.environment.subscription.concurrency === 'partition') return;
    const records = this.#window.takeBlocked((key) => queue.isBlocked(key), Math.min(PARKED_TOGETHER, room));
    if (records.length === 0) return;
    this.#isParking = true;
    this.#jobs.start(async () => {
      const permit = await this.environment.context.permits.acquire();
      try {
        await this.#log.park(
          records.map((record) => ({ record, attempts: 0, delayMs: null, failingForMs: null })),
          permit,
        );
      } finally {
        this.#isParking = false;
        permit.release();
      }
    });
  }

  /** Whether there is nothing to start until something is fed, parked or redriven. */
  get isIdle(): boolean {
    const waiting = this.#window.pendingCount + this.#jobs.count + this.#parked.queue.size;
    return waiting === 0 && this.#fetched.isEmpty;
  }

  /** Whether {@link tick} has something to store. */
  get hasMoved(): boolean {
    return !this.stopped && this.#window.position !== this.#progress.position;
  }

  /** The stored position, as the log is told it. */
  get report(): ReportedPosition {
    const { partitionId, ownerEpoch } = this.environment.progress.ownership;
    return { partitionId, ownerEpoch, position: this.#progress.position };
  }

  /** Stores the position if it has moved. Called periodically. */
  async tick(): Promise<void> {
    if (!this.stopped) await this.#jobs.guard(() => this.#progress.store(this.#window.position));
  }

  /** Applies operators' decisions about the partition's dead letters. */
  reconcile(rows: readonly RedrivenRow[]): void {
    if (!this.stopped) this.#parked.reconcile(rows);
  }

  /** Lets running work end, and stores the position with nothing in flight. For a partition that is given up. */
  async drain(limitMs: number): Promise<void> {
    this.#closing.abort();
    const ended = this.#jobs.ended();
    const limit = new AbortController();
    await Promise.race([ended, this.environment.context.clock.sleep(limitMs, limit.signal)]);
    limit.abort();
    // Records that have not ended in time stay in flight; their transactions are fenced when the partition is released.
    const position = this.#window.position;
    const atRest = this.#jobs.count === 0;
    if (!this.stopped) {
      await this.#jobs.guard(async () => {
        if (!atRest) return this.#progress.store(position);
        await this.#progress.storeAtRest(position);
        if (this.#parked.queue.size > 0)
          await this.#writer.write([...this.#parked.rest(), this.environment.progress.fence()]);
      });
    }
    this.#stop();
  }

  /** Stops at once, without further writes. For a partition that is lost. */
  abort(): void {
    this.#stop();
  }

  async #work(batch: Batch<LaneRecord>, permit: Permit): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const last = batch.records.at(-1) as LaneRecord;
    await this.#markBegun(last.offset + 1, permit);
    if (batch.alone && (await this.#isGivenUp(batch.records[0] as LaneRecord, permit))) return;
    const records = await this.#withoutExpired(batch.records, permit);
    const { done, failed } = await this.#log.run(records, 1, permit);
    if (done.length < records.length) {
      const ended = new Set(done);
      this.#window.putBack(records.filter((record) => record !== failed?.record && !ended.has(record)));
    }
    if (failed !== undefined)
      await followFailure(this.#tools, this.#log.followed(failed.record), failed, permit);
    if (batch.alone) await this.#charges.clear(last.offset, permit);
    await this.#storeIfFar(permit);
  }

  /**
   * Gives an expired record its verdict. If one of several has expired, they are checked one by one, so that verdicts
   * stay in order.
   * @returns the records to run now
   */
  async #withoutExpired(records: readonly LaneRecord[], permit: Permit): Promise<readonly LaneRecord[]> {
    const expired = await this.#attempts.expired(records, permit);
    const [record, ...rest] = records;
    if (expired.length === 0 || record === undefined) return records;
    this.#window.putBack(rest);
    if (!expired.includes(record)) return [record];
    await expire(this.#tools, this.#log.followed(record), permit);
    return [];
  }

  /** Before a record runs, the database knows that it may have been started: after a crash, it is a suspect. */
  async #markBegun(end: number, permit: Permit): Promise<void> {
    if (this.#progress.covers(end)) return;
    await this.#progress.cover(end, this.#window.position, permit);
  }

  async #storeIfFar(permit: Permit): Promise<void> {
    if (this.#window.position - this.#progress.position >= POSITION_STEP)
      await this.#progress.store(this.#window.position, permit);
  }

  /** Whether a record that runs alone has crashed too often and has become a dead letter. */
  async #isGivenUp(record: LaneRecord, permit: Permit): Promise<boolean> {
    const verdict = await this.#charges.verdict(record.offset, permit);
    if (verdict === undefined) return false;
    await giveUp(this.#tools, this.#log.followed(record), verdict, permit);
    await this.#charges.clear(record.offset, permit);
    return true;
  }

  #stop(): void {
    this.#closing.abort();
    this.#abort.abort();
  }
}

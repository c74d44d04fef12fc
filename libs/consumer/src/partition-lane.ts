import {
  type BoundStatement,
  type Clock,
  describeError,
  FencedError,
  isTransactionConflict,
  type Logger,
} from '@waybill/kernel';
import {
  decodeBatch,
  type FetchedBatch,
  type LogRecord,
  type PartitionProgress,
  type StoredProgress,
} from '@waybill/log';
import { deadLetterInsert, type DeadLetterReason, retryDelayMs } from '@waybill/schedule';
import { headersOf, type LaneRecord, messageIdOf, placeOf } from './delivery.js';
import { type DeliveryDatabases, DeliveryTransaction, type FailedRecord } from './delivery-transaction.js';
import { judgeFailure, requestedDelayMs } from './failure.js';
import { LaneBookmark } from './lane-bookmark.js';
import { type Batch, LaneWindow } from './lane-window.js';
import type { Place, Slots } from './slots.js';
import type { Subscription } from './subscription.js';

/** What a lane shares with the other lanes of its consumer. */
export interface LaneContext {
  readonly group: string;
  readonly groupId: number;
  readonly databases: DeliveryDatabases;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** A record that takes its process down alone as often as this becomes a dead letter. */
  readonly maxCrashes: number;
}

/** Where a lane begins. */
export interface LaneStart {
  /** Everything below is done. */
  readonly position: number;
  /** Records below may have taken a process down, and run alone. */
  readonly suspectEnd: number;
}

/** The position is stored when it is this far ahead of the stored one; and by {@link PartitionLane.tick}. */
const POSITION_STEP = 256;
/** Records waiting in memory at most; and how far the oldest open record may lie behind the newest. */
const MOST_PENDING = 500;
const WIDEST_SPAN = 10_000;

/**
 * One partition that this process owns: takes fetched batches in, runs their records in the order the subscription
 * asks for, retries in place, keeps dead letters, and moves the group's position on. Everything it writes is fenced by
 * the owner's epoch; once fenced it stops for good.
 */
export class PartitionLane {
  readonly #window: LaneWindow<LaneRecord>;
  readonly #abort = new AbortController();
  /** Cuts short the waits between attempts. */
  readonly #closing = new AbortController();
  readonly #deliveries: DeliveryTransaction;
  readonly #running = new Set<Promise<void>>();
  readonly #bookmark: LaneBookmark;
  readonly #charges: ReadonlyMap<number, number>;
  readonly #startedAt: number;

  constructor(
    private readonly context: LaneContext,
    private readonly subscription: Subscription,
    private readonly partition: number,
    private readonly progress: PartitionProgress,
    stored: StoredProgress,
    { position, suspectEnd }: LaneStart,
  ) {
    this.#window = new LaneWindow(subscription.concurrency, position, stored.marked, suspectEnd);
    this.#charges = stored.charges;
    this.#startedAt = position;
    const place = { topic: subscription.topic, partition, group: context.group, progress };
    this.#deliveries = new DeliveryTransaction(context.databases, place, subscription, this.#abort.signal);
    const settle = (statements: readonly BoundStatement[]): Promise<void> => this.#settle(statements);
    this.#bookmark = new LaneBookmark(progress, settle, position, stored.inFlightEnd);
  }

  get partitionId(): number {
    return this.progress.ownership.partitionId;
  }

  /** The offset to fetch from, or undefined while enough waits. */
  get wanted(): number | undefined {
    if (this.#closing.signal.aborted) return undefined;
    if (this.#window.pendingCount >= MOST_PENDING || this.#window.span >= WIDEST_SPAN) return undefined;
    return this.#window.nextOffset;
  }

  /** True once it has been fenced or aborted; it never runs again. */
  get stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Takes a fetched batch in. */
  feed(batch: FetchedBatch): void {
    const records = decodeBatch(batch.data, { fromOffset: this.#window.nextOffset });
    this.#window.add(
      records.map((record) => laneRecord(record, batch.bucketSeq)),
      batch.lastOffset,
    );
  }

  /** Starts whatever may run, while there are places. */
  pump(): void {
    while (!this.#closing.signal.aborted) {
      const place = this.context.slots.tryTake();
      if (place === undefined) return;
      const batch = this.#window.take(this.subscription.transactionBatch);
      if (batch === undefined || batch.alone) place.giveUnused();
      if (batch === undefined) return;
      this.#start(batch, batch.alone ? this.context.slots.takeAlone() : place);
    }
  }

  #start(batch: Batch<LaneRecord>, soon: Place | Promise<Place>): void {
    const work: Promise<void> = this.#runIn(soon, batch).finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  async #runIn(soon: Place | Promise<Place>, batch: Batch<LaneRecord>): Promise<void> {
    const place = await soon;
    try {
      await this.#guarded(() => this.#work(batch, place));
    } finally {
      place.give();
    }
  }

  /** Stores where the group begins, before anything runs. */
  async begin(): Promise<void> {
    await this.#bookmark.storeAtRest(this.#window.position);
  }

  /** Stores the position when it has moved. To be called now and then. */
  async tick(): Promise<void> {
    if (!this.stopped) await this.#guarded(() => this.#bookmark.store(this.#window.position));
  }

  /** Lets what runs come to its end, and stores the position with nothing in flight. For a partition that is given away. */
  async drain(limitMs: number): Promise<void> {
    this.#closing.abort();
    const ended = Promise.all(this.#running);
    const limit = new AbortController();
    await Promise.race([ended, this.context.clock.sleep(limitMs, limit.signal)]);
    limit.abort();
    // What has not ended in time stays marked as in flight; its transaction is fenced when the partition is released.
    const position = this.#window.position;
    const atRest = this.#running.size === 0;
    if (!this.stopped) {
      await this.#guarded(() =>
        atRest ? this.#bookmark.storeAtRest(position) : this.#bookmark.store(position),
      );
    }
    this.#stop();
  }

  /** Stops at once, writing nothing more. For a partition that is lost. */
  abort(): void {
    this.#stop();
  }

  async #work(batch: Batch<LaneRecord>, place: Place): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const last = batch.records.at(-1) as LaneRecord;
    await this.#markBegun(last.offset + 1, place);
    if (batch.alone && (await this.#chargeIsTooMuch(batch.records[0] as LaneRecord, place))) return;
    const { done, failed } = await this.#runOnce(batch.records, 1, place);
    this.#window.done(done);
    if (failed !== undefined) {
      const rest = batch.records.filter((record) => record !== failed.record && !done.includes(record));
      this.#window.putBack(rest);
      this.#window.hold([failed.record]);
      await this.#retry(failed, place);
      this.#window.done([failed.record]);
    }
    if (batch.alone) await this.#uncharge(batch.records[0] as LaneRecord, place);
    await this.#storeIfFar();
  }

  /**
   * Runs records once. A conflict between transactions, which is no attempt of the record's, is tried again. When the
   * database cannot be reached it is unknown whether the effect has been committed: in the log's own database the lane
   * then ends, and is opened anew by an epoch that makes it known; in another one the inbox tells.
   */
  async #runOnce(
    records: readonly LaneRecord[],
    attempt: number,
    place: Place,
  ): Promise<{ done: readonly LaneRecord[]; failed: FailedRecord | undefined }> {
    const outcome = await this.#untilReachable(
      place,
      () => this.#deliveries.run(records, attempt, (done) => this.#verdict(done, 'done')),
      this.context.databases.inboxFor === undefined,
    );
    this.#committed(outcome.done);
    return outcome;
  }

  /** @param onlyConflicts whether anything but a conflict ends it, because the work may not be repeated blindly */
  async #untilReachable<T>(place: Place, work: () => Promise<T>, onlyConflicts = false): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof FencedError || this.#closing.signal.aborted) throw error;
        if (onlyConflicts && !isTransactionConflict(error)) throw error;
        if (failures === 1 || failures % 20 === 0) {
          this.context.logger.warn(`a delivery is tried again: ${describeError(error)}`, this.#fields());
        }
        await this.#pause(Math.min(2_000, 20 * 2 ** Math.min(failures, 7)), place);
      }
    }
  }

  async #retry(first: FailedRecord, place: Place): Promise<void> {
    const { retry, topic } = this.subscription;
    const { record } = first;
    const firstFailedAt = new Date(this.context.clock.now());
    let { error } = first;
    for (let attempt = 1; ; attempt += 1) {
      const kind = judgeFailure(error);
      this.context.logger.warn(
        `attempt ${attempt} of ${placeOf(topic, this.partition, record.offset)} failed: ${describeError(error)}`,
        { group: this.context.group, messageId: messageIdOf(record.record), attempt },
      );
      const spent = attempt >= retry.maxAttempts && retry.onExhausted === 'dead-letter';
      if (kind !== 'retry' || spent) {
        await this.#bury(
          record,
          kind === 'retry' ? 'attempts-spent' : kind,
          error,
          attempt,
          firstFailedAt,
          place,
        );
        return;
      }
      await this.#pause(
        requestedDelayMs(error) ?? retryDelayMs(retry, attempt, this.context.random()),
        place,
      );
      const { failed } = await this.#runOnce([record], attempt + 1, place);
      if (failed === undefined) return;
      error = failed.error;
    }
  }

  /** Waits without holding a place: other keys and partitions go on. */
  async #pause(ms: number, place: Place): Promise<void> {
    place.give();
    await this.context.clock.sleep(ms, this.#closing.signal);
    await place.takeAgain();
    if (this.#closing.signal.aborted) throw new FencedError('The lane was stopped between two attempts');
  }

  async #bury(
    record: LaneRecord,
    reason: DeadLetterReason,
    error: unknown,
    attempts: number,
    firstFailedAt: Date,
    place: Place,
  ): Promise<void> {
    const { topic } = this.subscription;
    const insert = deadLetterInsert({
      groupId: this.context.groupId,
      partitionId: this.partitionId,
      topic,
      partition: this.partition,
      offset: record.offset,
      messageId: messageIdOf(record.record),
      key: record.key,
      headers: headersOf(record.record),
      payload: record.record.value,
      reason,
      error,
      attempts,
      firstFailedAt,
      lastFailedAt: new Date(this.context.clock.now()),
    });
    await this.#untilReachable(place, () =>
      this.#deliveries.settle([insert, ...this.#verdict([record], 'dead')]),
    );
    this.#committed([record]);
    this.context.logger.error(
      `${placeOf(topic, this.partition, record.offset)} is a dead letter (${reason}): ${describeError(error)}`,
      { group: this.context.group, messageId: messageIdOf(record.record), attempts },
    );
  }

  /** In order `partition` the position itself is the verdict; in order `key` each record is marked. */
  #verdict(records: readonly LaneRecord[], verdict: 'done' | 'dead'): BoundStatement[] {
    const last = records.at(-1);
    if (last === undefined) return [this.progress.fence()];
    if (this.subscription.concurrency === 'partition') {
      const position = last.offset + 1;
      return [this.#bookmark.advance(position, this.#window.nextOffset)];
    }
    return [
      this.progress.mark(
        records.map(({ offset }) => offset),
        verdict,
      ),
      this.progress.fence(),
    ];
  }

  /** Takes note of what a commit has stored. */
  #committed(records: readonly LaneRecord[]): void {
    const last = records.at(-1);
    if (last === undefined || this.subscription.concurrency !== 'partition') return;
    this.#bookmark.committed(last.offset + 1, this.#window.nextOffset);
  }

  /** Before a record runs, the database knows that it may have been begun: a crash then shows where to be careful. */
  async #markBegun(end: number, place: Place): Promise<void> {
    if (this.#bookmark.covers(end)) return;
    await this.#untilReachable(place, () =>
      this.#bookmark.cover(end, this.#window.position, this.#window.nextOffset),
    );
  }

  async #storeIfFar(): Promise<void> {
    if (this.subscription.concurrency === 'partition') return;
    if (this.#window.position - this.#bookmark.position >= POSITION_STEP) await this.tick();
  }

  async #settle(statements: readonly BoundStatement[]): Promise<void> {
    if (this.stopped) throw new FencedError('The lane was stopped');
    await this.#deliveries.settle(statements);
  }

  /** Charges a record that runs alone because it may have taken a process down; true when it has become a dead letter. */
  async #chargeIsTooMuch(record: LaneRecord, place: Place): Promise<boolean> {
    const { session } = this.context.databases.bus;
    const before = this.#charges.get(record.offset) ?? 0;
    // The only record that was in flight was alone then, too: that crash is its own.
    const onlySuspect =
      before === 0 && this.#window.suspectEnd === record.offset + 1 && this.#startedAt === record.offset;
    if (onlySuspect) await this.#untilReachable(place, () => this.progress.charge(session, record.offset));
    const charges = await this.#untilReachable(place, () => this.progress.charge(session, record.offset));
    if (charges <= this.context.maxCrashes) return false;
    const error = new Error(`its handler took the process down ${charges - 1} times`);
    await this.#bury(
      record,
      'process-crashed',
      error,
      charges - 1,
      new Date(this.context.clock.now()),
      place,
    );
    this.#window.done([record]);
    await this.#uncharge(record, place);
    return true;
  }

  async #uncharge(record: LaneRecord, place: Place): Promise<void> {
    const { session } = this.context.databases.bus;
    await this.#untilReachable(place, () => this.progress.clearCharges(session, record.offset));
  }

  #stop(): void {
    this.#closing.abort();
    this.#abort.abort();
  }

  /** Whatever gets here ends the lane: it is fenced, or stopped, or something is broken that the next owner must see. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const expected = error instanceof FencedError || this.#closing.signal.aborted;
      if (!expected) this.context.logger.error(`a lane failed: ${describeError(error)}`, this.#fields());
      if (!this.#closing.signal.aborted) this.#stop();
    }
  }

  #fields(): Record<string, string | number> {
    return { group: this.context.group, topic: this.subscription.topic, partition: this.partition };
  }
}

function laneRecord(record: LogRecord, bucketSeq: number): LaneRecord {
  return { offset: record.offset, key: record.key?.toString('utf8') ?? null, bucketSeq, record };
}

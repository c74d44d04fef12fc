import {
  BufferFullError,
  type Clock,
  DeliveryTimedOutError,
  type Given,
  invariant,
  isWaybillError,
  MessageInvalidError,
  NotRunningError,
  resolveOptions,
  systemClock,
  TopicUnknownError,
  wholeNumber,
  oneOf,
} from '@waybill/kernel';
import { backoffMs, show } from '@waybill/kernel/internal';
import type { LogEngine } from '../engine/log-engine.js';
import type { Appended, ReadyBatch } from '../engine/ready-batch.js';
import { Partitioner } from './partitioner.js';
import { EXPIRES_AT_HEADER, MESSAGE_ID_HEADER, RESERVED_HEADER_PREFIX } from '../record/record-headers.js';
import { RecordBatchBuilder, type RecordHeader, recordSize } from '../record/index.js';

/** Wait between two attempts, in milliseconds. */
const FIRST_PAUSE_MS = 40;
const LONGEST_PAUSE_MS = 2_000;

const SPECS = {
  /**
   * How long a flush waits for more records, in milliseconds. 0 still gathers records that arrive during the last
   * flush.
   */
  lingerMs: wholeNumber({ default: 0, min: 0, max: 60_000 }),
  /** Maximum size of a record batch, in bytes; a larger record gets its own batch. */
  batchBytes: wholeNumber({ default: 256 * 1024, min: 1_024, max: 16 * 1024 * 1024 }),
  /** The bytes that may wait to be appended before `append` refuses more. */
  bufferBytes: wholeNumber({ default: 32 * 1024 * 1024, min: 64 * 1024, max: 1024 * 1024 * 1024 }),
  /** How long an append is retried before it fails, in milliseconds. */
  deliveryTimeoutMs: wholeNumber({ default: 120_000, min: 100, max: 86_400_000 }),
  /**
   * The most records of a partition under one producer id; then a new id is used. Sequences are 32-bit, as in Kafka.
   */
  producerRecordsMax: wholeNumber({ default: 2_000_000_000, min: 1, max: 2_000_000_000 }),
  /** `all` waits until the commit is on disk, and on synchronous standbys; `1` does not wait for those. */
  acks: oneOf(['all', '1'], 'all'),
};

/** Options of a {@link LogAppender}. */
export type LogAppenderOptions = Given<typeof SPECS>;

/** A record to append to a topic. */
export interface RecordToAppend {
  readonly topic: string;
  /** Default: determined by the key's hash; without a key, in turn, batch by batch. */
  readonly partition?: number;
  readonly key?: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: readonly RecordHeader[];
}

/** The location of an appended record. */
export interface RecordLocation {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

interface Pending {
  readonly record: RecordToAppend;
  readonly bytes: number;
  readonly since: number;
  readonly resolve: (location: RecordLocation) => void;
  readonly reject: (error: unknown) => void;
}

interface Placed extends Pending {
  readonly partition: number;
  readonly partitionId: number;
}

interface FlushBatch {
  readonly ready: ReadyBatch;
  readonly records: readonly Placed[];
}

/** The most bytes of one flush; the rest goes with the next. */
const FLUSH_BYTES = 8 * 1024 * 1024;

/**
 * Appends records from this process to the log: gathers records while the last flush is being committed, and
 * writes them for all partitions together. Only one flush is in flight at a time, so records of a partition are
 * appended in the order in which `append` was called.
 *
 * Every flush carries the appender's producer id and sequences, so a flush whose response was lost is sent again
 * without any duplicate record in the log (Kafka's idempotent producer, KIP-98).
 */
export class LogAppender {
  readonly #options;
  readonly #clock: Clock;
  readonly #partitioner = new Partitioner();
  readonly #sequences = new Map<number, number>();
  #highestSequence = 0;
  #waiting: Pending[] = [];
  #waitingBytes = 0;
  #flushing: Promise<void> | undefined;
  #producerId: number | undefined;
  #closed = false;

  constructor(
    private readonly log: Pick<LogEngine, 'append' | 'nextProducerId' | 'signals' | 'topics'>,
    options: LogAppenderOptions = {},
    clock: Clock = systemClock,
  ) {
    this.#options = resolveOptions('appender', SPECS, options);
    this.#clock = clock;
  }

  /**
   * Appends a record. Resolves to its location when it is in the log.
   *
   * @throws TopicUnknownError, MessageInvalidError for a partition that the topic does not have, or for control headers
   * @throws BufferFullError when more than `bufferBytes` wait
   * @throws DeliveryTimedOutError when the log could not be reached for `deliveryTimeoutMs`
   */
  async append(record: RecordToAppend): Promise<RecordLocation> {
    if (this.#closed) throw new NotRunningError('The appender');
    assertNoControl(record);
    const bytes = recordSize(record.key ?? null, record.value, record.headers ?? []);
    if (this.#waitingBytes + bytes > this.#options.bufferBytes) {
      throw new BufferFullError(record.topic, this.#options.bufferBytes);
    }
    this.#waitingBytes += bytes;
    return new Promise((resolve, reject) => {
      const since = this.#clock.monotonic();
      this.#waiting.push({ record, bytes, since, resolve, reject });
      this.#flushing ??= this.#flushAll();
    });
  }

  /** Resolves when every waiting record has been appended or has failed. */
  async flush(): Promise<void> {
    await this.#flushing;
  }

  /** Refuses further records and waits for the accepted ones. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
  }

  async #flushAll(): Promise<void> {
    // One turn of the event loop gathers the records of a burst.
    await this.#clock.sleep(this.#options.lingerMs);
    while (this.#waiting.length > 0) {
      const taken = this.#take();
      this.#partitioner.nextBatch();
      try {
        this.#leaveProducerInTime();
        const producerId = (this.#producerId ??= await this.#untilDone(taken, () =>
          this.log.nextProducerId(),
        ));
        const batches = this.#build(await this.#location(taken));
        if (batches.length === 0) continue;
        const ready = batches.map((batch) => batch.ready);
        const { acks } = this.#options;
        const appended = await this.#untilDone(taken, () => this.log.append(ready, { producerId, acks }));
        resolveAppends(batches, appended);
        this.log.signals.send('appended');
      } catch (error) {
        for (const pending of taken) pending.reject(error);
      } finally {
        for (const pending of taken) this.#waitingBytes -= pending.bytes;
      }
    }
    this.#flushing = undefined;
  }

  /** No flush is in flight when this is called, so nothing can be sent again under the old id. */
  #leaveProducerInTime(): void {
    if (this.#highestSequence < this.#options.producerRecordsMax) return;
    this.#producerId = undefined;
    this.#highestSequence = 0;
    this.#sequences.clear();
  }

  #take(): Pending[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || bytes < FLUSH_BYTES)) {
      bytes += (this.#waiting[count] as Pending).bytes;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Finds the partitions of the records, in order; a record without one is refused and left out. */
  async #location(taken: readonly Pending[]): Promise<Placed[]> {
    const placed: Placed[] = [];
    for (const pending of taken) {
      const { record } = pending;
      const topic =
        this.log.topics.peek(record.topic) ??
        (await this.#untilDone(taken, () => this.log.topics.find(record.topic)));
      if (topic === undefined) {
        pending.reject(new TopicUnknownError(record.topic));
        continue;
      }
      this.#partitioner.know(record.topic);
      const count = topic.partitionIds.length;
      const partition = record.partition ?? this.#partitioner.choose(record.topic, record.key ?? null, count);
      const partitionId = topic.partitionIds[partition];
      if (partitionId !== undefined) placed.push({ ...pending, partition, partitionId });
      else {
        const problem = `the topic has ${count} partitions, but no partition ${partition}`;
        pending.reject(new MessageInvalidError('(a record)', record.topic, problem));
      }
    }
    return placed;
  }

  #build(taken: readonly Placed[]): FlushBatch[] {
    const byPartition = new Map<number, Placed[]>();
    for (const pending of taken) {
      const list = byPartition.get(pending.partitionId);
      if (list === undefined) byPartition.set(pending.partitionId, [pending]);
      else list.push(pending);
    }
    const batches: FlushBatch[] = [];
    for (const [partitionId, list] of byPartition) {
      let from = 0;
      while (from < list.length) {
        const { builder, upTo } = this.#fill(list, from);
        batches.push({ ready: this.#ready(partitionId, builder), records: list.slice(from, upTo) });
        from = upTo;
      }
    }
    return batches.toSorted((a, b) => a.ready.partitionId - b.ready.partitionId);
  }

  #fill(list: readonly Placed[], from: number): { builder: RecordBatchBuilder; upTo: number } {
    const builder = new RecordBatchBuilder();
    let upTo = from;
    while (upTo < list.length) {
      const { record, bytes } = list[upTo] as Placed;
      if (upTo > from && builder.byteLength + bytes > this.#options.batchBytes) break;
      builder.append(this.#clock.now(), record.key ?? null, record.value, record.headers ?? []);
      upTo += 1;
    }
    return { builder, upTo };
  }

  #ready(partitionId: number, builder: RecordBatchBuilder): ReadyBatch {
    const baseSequence = this.#sequences.get(partitionId) ?? 0;
    this.#sequences.set(partitionId, baseSequence + builder.count);
    this.#highestSequence = Math.max(this.#highestSequence, baseSequence + builder.count);
    invariant(this.#producerId !== undefined, 'a flush began without a producer id');
    return {
      partitionId,
      recordCount: builder.count,
      maxTimestampMs: builder.maxTimestamp,
      baseSequence,
      data: builder.build({ producerId: BigInt(this.#producerId), producerEpoch: 0, baseSequence }),
    };
  }

  /** Retries while failures are transient and `deliveryTimeoutMs` of the oldest record is not over. */
  async #untilDone<T>(taken: readonly Pending[], work: () => Promise<T>): Promise<T> {
    const oldest = taken[0] as Pending;
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (!isWaybillError(error) || !error.retryable) throw error;
        const waitedMs = this.#clock.monotonic() - oldest.since;
        const pauseMs = backoffMs(failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        if (waitedMs + pauseMs > this.#options.deliveryTimeoutMs) {
          throw new DeliveryTimedOutError(oldest.record.topic, this.#options.deliveryTimeoutMs, {
            cause: error,
          });
        }
        await this.#clock.sleep(pauseMs);
      }
    }
  }
}

function resolveAppends(batches: readonly FlushBatch[], appended: readonly Appended[]): void {
  batches.forEach(({ records }, index) => {
    const { baseOffset } = appended[index] as Appended;
    records.forEach((pending, delta) =>
      pending.resolve({
        topic: pending.record.topic,
        partition: pending.partition,
        offset: baseOffset + delta,
      }),
    );
  });
}

/** Waybill's headers that a producer may set: they affect only the message itself. */
const HARMLESS: ReadonlySet<string> = new Set([MESSAGE_ID_HEADER, EXPIRES_AT_HEADER]);

/** @throws MessageInvalidError for headers that Waybill would trust: replies, commands of sagas */
function assertNoControl({ topic, headers = [] }: RecordToAppend): void {
  const names = headers.map(({ key }) => Buffer.from(key as string).toString('utf8'));
  const control = names.find(
    (name) => name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX) && !HARMLESS.has(name),
  );
  if (control !== undefined)
    throw new MessageInvalidError('(without id)', topic, `header ${show(control)} is reserved`);
}

import { newId } from '@waybill/kernel';
import {
  type Appended,
  decodeBatch,
  type LogEngine,
  RecordBatchBuilder,
  type ReadyBatch,
  type Topic,
} from '@waybill/log';

/** An engine as one process has it. */
export interface OpenEngine {
  readonly log: LogEngine;
  /** Cuts it off from the log, as a crash of its process would; a second call does nothing. */
  cut(): Promise<void>;
}

/** A log that an engine is tested with. It may hold other topics and groups. */
export interface LogUnderTest {
  /** Opens the log once more, as another process would. */
  open(): Promise<OpenEngine>;
  /** Lets the log's retention remove all records of a topic that it holds now. */
  expire(topic: Topic): Promise<void>;
  /** Whether the offsets of a partition have no gaps. */
  readonly hasDenseOffsets: boolean;
}

/** The engines and topics of one case. */
export class CaseLog {
  readonly #open: OpenEngine[] = [];

  constructor(readonly underTest: LogUnderTest) {}

  /** Opens an engine, which the end of the case closes. */
  async open(): Promise<OpenEngine> {
    const engine = await this.underTest.open();
    this.#open.push(engine);
    return engine;
  }

  /** Opens an engine, and creates a topic with a new name. */
  async withTopic(partitions: number): Promise<{ readonly log: LogEngine; readonly topic: Topic }> {
    const { log } = await this.open();
    return { log, topic: await log.topics.create(newName('topic'), { partitions }) };
  }

  async close(): Promise<void> {
    for (const { log, cut } of this.#open) {
      await log.signals.stop();
      await cut();
    }
  }
}

/** A name that no other case uses. */
export function newName(what: string): string {
  return `${what}-${newId()}`;
}

/** The id of a topic's partition. */
export function partitionOf({ name, partitionIds }: Topic, number: number): number {
  const partitionId = partitionIds[number];
  if (partitionId === undefined) throw new Error(`topic ${name} has no partition ${number}`);
  return partitionId;
}

/** Fields of a batch that differ from those of an ordinary one. */
export interface BatchFields {
  readonly timestampsMs?: readonly number[];
  readonly producerId?: number;
  readonly baseSequence?: number;
}

/** A batch with a record for each value. */
export function batchOf(
  partitionId: number,
  values: readonly string[],
  fields: BatchFields = {},
): ReadyBatch {
  const { timestampsMs = [], producerId = -1, baseSequence = -1 } = fields;
  const builder = new RecordBatchBuilder();
  for (const [index, value] of values.entries())
    builder.append(timestampsMs[index] ?? 1_000, null, Buffer.from(value), []);
  return {
    partitionId,
    recordCount: builder.count,
    maxTimestampMs: builder.maxTimestamp,
    baseSequence,
    data: builder.build({
      producerId: BigInt(producerId),
      producerEpoch: producerId < 0 ? -1 : 0,
      baseSequence,
    }),
  };
}

/** Appends one batch. */
export async function appendOne(
  log: LogEngine,
  partitionId: number,
  values: readonly string[],
  fields: BatchFields = {},
): Promise<Appended> {
  const { producerId } = fields;
  const options = producerId === undefined ? {} : { producerId };
  const [appended] = await log.append([batchOf(partitionId, values, fields)], options);
  if (appended === undefined) throw new Error('an append returned no location');
  return appended;
}

/** A record as it was read. */
export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

/** Start and end of one partition. */
export async function endsOf(
  log: LogEngine,
  partitionId: number,
): Promise<{ readonly startOffset: number; readonly endOffset: number }> {
  const range = (await log.offsets([partitionId])).get(partitionId);
  if (range === undefined) throw new Error(`the log told no offsets of partition ${partitionId}`);
  return range;
}

/** All records of a partition from an offset to its end. */
export async function readFrom(
  log: LogEngine,
  partitionId: number,
  fromOffset: number,
  partitionBytes?: number,
): Promise<ReadRecord[]> {
  const { endOffset } = await endsOf(log, partitionId);
  const limits = partitionBytes === undefined ? {} : { partitionBytes };
  const records: ReadRecord[] = [];
  for (let offset = fromOffset; offset < endOffset;) {
    const { batches } = await log.fetch([{ partitionId, offset }], limits);
    if (batches.length === 0) throw new Error(`nothing was fetched at ${offset}, below the end ${endOffset}`);
    for (const batch of batches) {
      for (const record of decodeBatch(batch.data, { fromOffset: offset }))
        records.push({ offset: record.offset, value: String(record.value) });
      offset = batch.lastOffset + 1;
    }
  }
  return records;
}

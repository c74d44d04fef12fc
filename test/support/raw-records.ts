import { newId } from '@waybill/kernel';
import { RecordBatchBuilder, type RecordToAppend } from '@waybill/log';
import { appendCall } from '@waybill/log/postgres/internal';
import { BatchCollector } from '@waybill/log/internal';
import type { Fixture } from './fixture.js';

/** A record as any program with access to the log may write it: nothing in it is checked. */
export interface RawRecord {
  readonly topic: string;
  readonly key?: string | null;
  readonly value?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Appends records as they are, without the outbox. */
export async function appendRaw(
  { bus, topics }: Pick<Fixture, 'bus' | 'topics'>,
  records: readonly RawRecord[],
): Promise<void> {
  await topics.list();
  const batches = await new BatchCollector(topics, 1_000_000).collect(async (add) => {
    for (const { topic, key = null, value = null, headers = {} } of records)
      add({
        id: Buffer.from(newId()),
        topic,
        partition: null,
        key: key === null ? null : Buffer.from(key),
        headers: JSON.stringify(headers),
        payload: Buffer.from(JSON.stringify(value)),
        timestampMs: Date.now(),
      });
  });
  await bus.runTogether([appendCall(batches, -1, 'all')]);
}

/** Appends one record byte for byte, to the first partition of its topic. */
export async function appendBytes(
  { bus, topics }: Pick<Fixture, 'bus' | 'topics'>,
  { topic, key = null, value, headers = [] }: RecordToAppend,
): Promise<void> {
  const { partitionIds } = await topics.get(topic);
  const builder = new RecordBatchBuilder(1_024);
  builder.append(Date.now(), key, value, headers);
  const batch = {
    partitionId: partitionIds[0] ?? 0,
    recordCount: 1,
    maxTimestampMs: builder.maxTimestamp,
    baseSequence: -1,
    data: builder.build(),
  };
  await bus.runTogether([appendCall([batch], -1, 'all')]);
}

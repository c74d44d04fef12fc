import { decodeBatch, type LogEngine, type LogRecord } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import type { Remainder } from './erasure-report.js';

/** Selects records. */
export interface RecordsToFind {
  /** Stored forms of a key. */
  readonly keys: readonly string[];
  readonly messageId: string | null;
  readonly topic: string | null;
}

const DAY_MS = 86_400_000;
/** The most places that a report lists. */
const MOST_PLACES = 1_000;

/**
 * The records of a key, or of a message, in the log. They cannot be removed one by one, and are removed with their
 * bucket. Reads every record of the topic, or of all topics.
 */
export async function logRemainders(
  log: Pick<LogEngine, 'fetch' | 'offsets' | 'topics'>,
  wanted: RecordsToFind,
): Promise<Remainder[]> {
  const all = await log.topics.list();
  // A bucket is removed as a whole, and all topics share buckets.
  const keptMs = Math.max(0, ...all.map(({ retentionMs }) => retentionMs)) + DAY_MS;
  const found: Remainder[] = [];
  let more = 0;
  for (const { name, partitionIds } of all) {
    if (wanted.topic !== null && wanted.topic !== name) continue;
    for (const [number, partitionId] of partitionIds.entries())
      for await (const record of recordsOf(log, partitionId)) {
        if (!isWanted(record, wanted)) continue;
        if (found.length >= MOST_PLACES) more += 1;
        else
          found.push({
            where: `log ${name}[${number}]@${record.offset}`,
            why: 'retention removes a record of the log together with its bucket',
            until: new Date(record.timestampMs + keptMs),
          });
      }
  }
  const rest = { where: 'log', why: `and ${more} more records`, until: new Date(Date.now() + keptMs) };
  return more === 0 ? found : [...found, rest];
}

async function* recordsOf(
  log: Pick<LogEngine, 'fetch' | 'offsets'>,
  partitionId: number,
): AsyncGenerator<LogRecord> {
  const offsets = (await log.offsets([partitionId])).get(partitionId);
  const endOffset = offsets?.endOffset ?? 0;
  for (let offset = offsets?.startOffset ?? 0; offset < endOffset;) {
    const { batches } = await log.fetch([{ partitionId, offset }]);
    if (batches.length === 0) return;
    for (const batch of batches) {
      yield* decodeBatch(batch.data, { fromOffset: offset });
      offset = batch.lastOffset + 1;
    }
  }
}

function isWanted({ key, headers }: LogRecord, { keys, messageId }: RecordsToFind): boolean {
  if (key !== null && keys.includes(key.toString('utf8'))) return true;
  if (messageId === null) return false;
  return headers.some(
    ({ key: name, value }) => name === MESSAGE_ID_HEADER && value?.toString('utf8') === messageId,
  );
}

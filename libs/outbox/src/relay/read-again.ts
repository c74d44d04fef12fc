import { LogWentBackError, type PgDatabase } from '@waybill/kernel';
import type { ReadyBatch, WrappedKey } from '@waybill/log';
import { readSubjectKeys, subjectKeyIdsOf } from '@waybill/log/internal';
import type { DifferenceReader } from './difference-reader.js';

/** A version of a stored pass. */
export interface KnownPass {
  readonly n: number;
  readonly version: number;
  readonly token: string;
  readonly tokenBefore: string | null;
  readonly base: string;
  readonly target: string;
  readonly afterId: number;
  readonly uptoId: number;
  readonly rowCount: number;
  /** Rows that are set aside. */
  readonly excluded: readonly number[];
}

/** The messages of a stored pass, and the keys of subjects that they need. */
export interface ReadPass {
  readonly batches: readonly ReadyBatch[];
  readonly keys: readonly WrappedKey[];
}

/**
 * Reads the messages of a stored pass again; changes to timers took effect when it was stored. `onlyOf`: a topic to which the
 * messages are limited.
 * @throws LogWentBackError when rows are gone: the set is fixed, so an equal number proves that all are there
 */
export async function readAgain(
  database: PgDatabase,
  reader: DifferenceReader,
  { n, base, target, afterId, uptoId, rowCount, excluded }: KnownPass,
  onlyOf?: string,
): Promise<ReadPass> {
  const window = { after: afterId, upTo: uptoId };
  const { batches, keys, rows } = await database.withConnection(async (connection) => {
    const options = { excluded: new Set(excluded), onlyOf };
    const read = await reader.readStored(connection, { base, target, window }, options);
    const keyIds = subjectKeyIdsOf(read.batches);
    return { ...read, keys: keyIds.length === 0 ? [] : await connection.run(readSubjectKeys, keyIds) };
  });
  if (rows !== rowCount)
    throw new LogWentBackError(
      `The log lacks pass ${n}, and of its ${rowCount} rows the outbox has only ${rows} any more: \`npx waybill relay reconcile\` goes on without the others`,
    );
  return { batches, keys };
}

import { type Logger, type PgDatabase, systemClock } from '@waybill/kernel';

/** What stopping may take beside the draining of handlers, and once connections are cut, in milliseconds. */
const STOP_MS = 3_000;
const CUT_MS = 2_000;

/**
 * Waits for an instance to stop: for its handlers to come to their end, and a few seconds more. Then its connections are
 * cut, so that what waits for a server that says nothing fails.
 * @throws whatever stopping throws
 */
export async function stopWithin(
  drainMs: number,
  stopping: Promise<void>,
  databases: readonly PgDatabase[],
  logger: Logger,
): Promise<void> {
  const limitMs = drainMs + STOP_MS;
  if (await hasEnded(stopping, limitMs)) return stopping;
  logger.warn(`stopping takes longer than ${limitMs} ms: the connections to the database are cut`);
  for (const database of databases) database.cutOff();
  if (await hasEnded(stopping, CUT_MS)) return;
  logger.error('a part of Waybill did not stop, although its connections were cut');
}

/** Whether work comes to its end, well or badly, within a time. */
async function hasEnded(work: Promise<unknown>, ms: number): Promise<boolean> {
  const limit = new AbortController();
  const ended = work.then(
    () => true,
    () => true,
  );
  const over = systemClock.sleep(ms, limit.signal).then(() => false);
  const isEnded = await Promise.race([ended, over]);
  limit.abort();
  return isEnded;
}

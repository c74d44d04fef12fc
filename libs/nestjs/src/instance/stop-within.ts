import { type Logger, type PgDatabase, systemClock } from '@waybill/kernel';

/**
 * Time limits of stopping, in addition to the draining of handlers, and after connections are closed, in milliseconds.
 */
const STOP_MS = 3_000;
const CUT_MS = 2_000;

/**
 * Waits for an instance to stop: for its handlers to finish, and a few seconds more. Then closes its connections, so
 * that work that waits for an unresponsive server fails.
 * @throws what stopping throws
 */
export async function stopWithin(
  drainMs: number,
  stopping: Promise<void>,
  databases: readonly PgDatabase[],
  logger: Logger,
): Promise<void> {
  const limitMs = drainMs + STOP_MS;
  if (await hasEnded(stopping, limitMs)) return stopping;
  logger.warn(`stopping takes longer than ${limitMs} ms: closing the connections to the database`);
  for (const database of databases) database.cutOff();
  if (await hasEnded(stopping, CUT_MS)) return;
  logger.error('a part of Waybill did not stop, although its connections were closed');
}

/** Whether work ends, successfully or not, within a time. */
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

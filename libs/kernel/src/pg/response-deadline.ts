import type pg from 'pg';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';

/** Default time limit for the response to one of Waybill's statements, in milliseconds. */
export const DEFAULT_QUERY_TIMEOUT_MS = 15_000;

const silent = new WeakSet<pg.ClientBase>();

/** Whether the connection was closed because a response did not arrive in time. */
export function wasSilent(client: pg.ClientBase): boolean {
  return silent.has(client);
}

/**
 * Waits for the server's response, and closes the connection if none arrives: a connection that a firewall has dropped,
 * or whose peer hangs, looks like a slow one forever.
 *
 * @param doing for the error, e.g. `Running fence`
 * @throws DatabaseUnavailableError after `ms` milliseconds; the statement may still take effect
 */
export async function respondedWithin<T>(
  client: pg.ClientBase,
  ms: number,
  doing: string,
  work: Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new DatabaseUnavailableError(`${doing}: no response within ${ms} ms; the connection was closed`),
      );
      silent.add(client);
      closeSocket(client);
    }, ms);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // The closed connection fails it after the limit has been reported.
    work.catch(() => {});
  }
}

/** Closes a connection immediately, without notifying the server; everything that waits on it fails. */
export function closeSocket(client: pg.ClientBase): void {
  (client as unknown as { connection?: { stream?: { destroy(): unknown } } }).connection?.stream?.destroy();
}

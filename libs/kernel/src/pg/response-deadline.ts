import type pg from 'pg';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';

/** How long a statement of Waybill's own may go unanswered, in milliseconds, unless an option says otherwise. */
export const DEFAULT_QUERY_TIMEOUT_MS = 15_000;

const silent = new WeakSet<pg.ClientBase>();

/** Whether the connection was closed because an answer did not come in time. */
export function wasSilent(client: pg.ClientBase): boolean {
  return silent.has(client);
}

/**
 * Waits for an answer of the server, and closes the connection when none comes: a connection that a firewall has dropped,
 * or whose peer stands still, looks like a slow one for ever.
 *
 * @param doing for the error: `Running fence`
 * @throws DatabaseUnavailableError when `ms` milliseconds are over; the statement may still take effect
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
      reject(new DatabaseUnavailableError(`${doing}: no answer within ${ms} ms; the connection was closed`));
      silent.add(client);
      closeSocket(client);
    }, ms);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // The closed connection fails it, when the limit has been reported already.
    work.catch(() => {});
  }
}

/** Closes a connection at once, without the server's help; whatever waits on it fails. */
export function closeSocket(client: pg.ClientBase): void {
  (client as unknown as { connection?: { stream?: { destroy(): unknown } } }).connection?.stream?.destroy();
}

/** Whether nothing that was sent on the connection is unanswered. */
export function isAtRest(client: pg.ClientBase): boolean {
  return (client as unknown as { readyForQuery?: boolean }).readyForQuery === true;
}

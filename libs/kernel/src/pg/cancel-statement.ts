import { connect } from 'node:net';
import type pg from 'pg';

/** CancelRequest of PostgreSQL's frontend/backend protocol ("Canceling Requests in Progress"). */
const CANCEL_REQUEST = 80_877_102;
const LENGTH = 16;
const WAIT_MS = 1_000;

/** Properties of a pg connection that its types do not declare. */
interface CancelKey {
  readonly host: string;
  readonly port: number;
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/**
 * Asks the server, or the pooler in front of it, to cancel the running statement of a connection that is closed next:
 * otherwise it would keep running, with its locks, until its own time-out. A lost request does no harm.
 * Resolves when the request has been accepted, or after a second.
 */
export async function cancelStatement(client: pg.PoolClient): Promise<void> {
  const { host, port, processID, secretKey } = client as unknown as CancelKey;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const request = Buffer.alloc(LENGTH);
  request.writeInt32BE(LENGTH, 0);
  request.writeInt32BE(CANCEL_REQUEST, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  await new Promise<void>((resolve) => {
    const isSocket = host.startsWith('/');
    const socket = isSocket ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    const timer = setTimeout(() => socket.destroy(), WAIT_MS);
    socket.on('connect', () => socket.write(request));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

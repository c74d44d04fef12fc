/** The event by which a connection of pg hands on what the server says behind every statement. */
export interface PgConnectionEvents {
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown;
  off(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown;
}

const waiting = new WeakMap<object, Set<() => void>>();

/** Calls back once the transaction that is open on a connection has ended, well or badly; each callback once. */
export function callAtEnd(connection: PgConnectionEvents | undefined, callback: () => void): void {
  if (connection === undefined) return;
  const known = waiting.get(connection);
  if (known !== undefined) {
    known.add(callback);
    return;
  }
  const callbacks = new Set([callback]);
  waiting.set(connection, callbacks);
  const listener = ({ status }: { status: string }): void => {
    if (status !== 'I') return;
    connection.off('readyForQuery', listener);
    waiting.delete(connection);
    for (const call of callbacks) call();
  };
  connection.on('readyForQuery', listener);
}

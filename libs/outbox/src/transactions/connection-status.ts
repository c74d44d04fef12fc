/** The event with which a pg connection reports the transaction status after every statement. */
export interface PgConnectionEvents {
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown;
  off(event: 'readyForQuery', listener: (message: { status: string }) => void): unknown;
}

const waiting = new WeakMap<object, Set<() => void>>();

/** Calls back when the open transaction of a connection has committed or rolled back; each callback once. */
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

/** The part of a pg connection that reports its loss. */
export interface PgConnectionLosses {
  readonly stream: { destroy(): unknown };
  rawListeners(event: 'error' | 'end'): unknown[];
  on(event: 'error' | 'end', listener: (...args: unknown[]) => void): unknown;
  off(event: 'error' | 'end', listener: (...args: unknown[]) => void): unknown;
}

const guarded = new WeakMap<object, Set<() => void>>();

/**
 * Reports the loss of a connection whose client is not accessible. From the first call on the loss cannot end the
 * process either: pg's client throws its error if it has no listener.
 * @returns a function that stops it
 */
export function onConnectionLost(connection: PgConnectionLosses, lost: () => void): () => void {
  const listening = guarded.get(connection) ?? guard(connection);
  listening.add(lost);
  return () => void listening.delete(lost);
}

function guard(connection: PgConnectionLosses): Set<() => void> {
  const listening = new Set<() => void>();
  guarded.set(connection, listening);
  for (const event of ['error', 'end'] as const) {
    for (const listener of connection.rawListeners(event) as ((...args: unknown[]) => void)[]) {
      connection.off(event, listener);
      connection.on(event, (...args) => {
        for (const tell of listening) tell();
        try {
          listener.apply(connection, args);
        } catch {
          // The error of a client without a listener: the running statement has failed with it.
        }
      });
    }
  }
  return listening;
}

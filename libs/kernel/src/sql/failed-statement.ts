/** The events of a pg connection that report the server's messages. */
interface WireEvents {
  on(event: 'errorMessage', listener: (error: ServerError) => void): unknown;
  on(event: 'readyForQuery', listener: (message: { readonly status?: string }) => void): unknown;
}

interface ServerError extends Error {
  readonly code?: string;
}

/** "current transaction is aborted": does not say which statement failed it. */
const TRANSACTION_FAILED = '25P02';

const watched = new WeakSet<object>();
const failures = new WeakMap<object, Error>();

/**
 * Remembers the error that fails each transaction of a pg client (or of its connection) from now on. Code that catches
 * it and continues only learns that the transaction is aborted: that error gets the first one as its cause, and in its
 * message. A client is watched only once.
 */
export function watchFailures(client: object): void {
  const wire = wireOf(client);
  if (wire === undefined || watched.has(wire)) return;
  watched.add(wire);
  wire.on('errorMessage', (error) => {
    const first = failures.get(wire);
    if (error.code !== TRANSACTION_FAILED) failures.set(wire, first ?? error);
    else if (first !== undefined) nameFirst(error, first);
  });
  wire.on('readyForQuery', ({ status }) => {
    if (status !== 'E') failures.delete(wire);
  });
}

/** The error that failed the open transaction of a pg client or of its connection; undefined if not known. */
export function failureOf(client: object): Error | undefined {
  return failures.get(wireOf(client) ?? client);
}

/** The failed statement's error for one that only reports that the transaction had failed. */
export function firstFailure(error: unknown, depth = 0): Error | undefined {
  if (typeof error !== 'object' || error === null || depth > 5) return undefined;
  const { cause, driverError, code } = error as { cause?: unknown; driverError?: unknown; code?: unknown };
  if (code === TRANSACTION_FAILED && typeof (cause as ServerError | undefined)?.message === 'string')
    return cause as Error;
  return firstFailure(driverError, depth + 1) ?? firstFailure(cause, depth + 1);
}

function nameFirst(error: Error, first: Error): void {
  error.message = `${error.message}; the statement that failed it: ${first.message}`;
  error.cause = first;
}

/** The connection of a client; a connection is returned as it is. */
function wireOf(client: object): (object & WireEvents) | undefined {
  const { connection = client } = client as { connection?: object };
  const { on, parsedStatements } = connection as { on?: unknown; parsedStatements?: unknown };
  return typeof on === 'function' && parsedStatements !== undefined
    ? (connection as object & WireEvents)
    : undefined;
}

interface Wire {
  readonly stream: { readonly destroyed: boolean };
  on(event: 'readyForQuery' | 'end', listener: () => void): unknown;
  off(event: 'readyForQuery' | 'end', listener: () => void): unknown;
}

/** The parts of pg's client that say what it waits for. */
interface Waiting {
  readonly connection?: Wire;
  readonly readyForQuery?: boolean;
  /** The query whose response is read; the second name is that of older versions. */
  readonly _activeQuery?: object | null;
  readonly activeQuery?: object | null;
  /** Null until the client has connected. */
  getTransactionStatus?(): string | null;
}

/** Whether every statement sent on the connection has received its response. */
export function isAtRest(client: object): boolean {
  return (client as Waiting).readyForQuery === true;
}

/**
 * Resolves when every statement of a pg client has received its whole response, or the connection has ended. A failed
 * statement is reported to its caller before that: the server sends the transaction's status behind the error, and it
 * may arrive later. Until then the client has the status of the statement before.
 */
export function untilAtRest(client: object): Promise<void> {
  const { connection } = client as Waiting;
  const isOver = (): boolean => isAtRest(client) || connection?.stream.destroyed !== false;
  if (connection === undefined || isOver()) return Promise.resolve();
  return new Promise((resolve) => {
    const check = (): void => {
      if (!isOver()) return;
      connection.off('readyForQuery', check);
      connection.off('end', check);
      resolve();
    };
    connection.on('readyForQuery', check);
    connection.on('end', check);
  });
}

/**
 * Resolves when the transaction's status behind a failed statement of a caller's pg client has arrived; undefined if
 * none is under way. Other statements in flight are not waited for: theirs are queued behind them.
 */
export function failureSettling(client: object): Promise<void> | undefined {
  const waiting = client as Waiting;
  // The getter of the older name warns where it is deprecated.
  const active = '_activeQuery' in waiting ? waiting._activeQuery : waiting.activeQuery;
  if (isAtRest(client) || (active ?? undefined) !== undefined) return undefined;
  return (waiting.getTransactionStatus?.() ?? null) === null ? undefined : untilAtRest(client);
}

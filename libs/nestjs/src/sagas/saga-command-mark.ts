/** Under this key the extras of a handler say that it serves commands of sagas. Being a symbol, it is no option. */
const COMMAND = Symbol.for('waybill.saga-command');

/** The extras of a handler that serves commands of sagas. */
export function markSagaCommand(extras: object): object {
  return { ...extras, [COMMAND]: true };
}

/** Whether the handler with these extras serves commands of sagas. */
export function isSagaCommand(extras: unknown): boolean {
  return (extras as { [COMMAND]?: boolean } | undefined)?.[COMMAND] === true;
}

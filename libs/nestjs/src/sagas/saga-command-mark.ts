/**
 * The key under which a handler's extras mark it as a handler of saga commands. A symbol, so that it is not taken for
 * an option.
 */
const COMMAND = Symbol.for('waybill.saga-command');

/** The extras of a handler of saga commands. */
export function markSagaCommand(extras: object): object {
  return { ...extras, [COMMAND]: true };
}

/** Whether the handler with these extras handles saga commands. */
export function isSagaCommand(extras: unknown): boolean {
  return (extras as { [COMMAND]?: boolean } | undefined)?.[COMMAND] === true;
}

import { isWaybillError } from './errors/waybill-error.js';

/** Ids and figures that belong to a line; never payloads. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Where Waybill writes its lines. Nest's logger is put behind it by `@waybill/nestjs`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Writes nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Whether work was given up because another process owns it by now: the usual end of a hand-over, and no failure. */
export function isFenced(error: unknown): boolean {
  return isWaybillError(error) && error.code === 'FENCED';
}

/** Name and message of anything that was thrown, for a log line. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

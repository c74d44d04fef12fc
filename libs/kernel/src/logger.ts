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

/** Name and message of anything that was thrown, for a log line. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

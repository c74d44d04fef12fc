import { isWaybillError } from './errors/waybill-error.js';
import { oneLine, withoutSecrets } from './safe-text.js';

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

const guarded = new WeakMap<Logger, Logger>();

/**
 * The logger to write to: the given one, whose failures stop no work, or none. A line that cannot be written is lost; the work
 * that it tells of is not. Each line is one, whatever stands in it: nobody can forge a second by an error's text or a key.
 */
export function guardLogger(given: Logger | undefined): Logger {
  if (given === undefined || given === silentLogger) return silentLogger;
  const known = guarded.get(given);
  if (known !== undefined) return known;
  const write =
    (level: keyof Logger) =>
    (message: string, fields?: LogFields): void => {
      try {
        const written: unknown = given[level](cleanLine(message), fields && cleanFields(fields));
        // One that writes asynchronously may fail later.
        if (written instanceof Promise) written.catch(() => {});
      } catch {
        // There is nowhere left to say so.
      }
    };
  const safe = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  guarded.set(given, safe);
  guarded.set(safe, safe);
  return safe;
}

function cleanLine(text: string): string {
  return oneLine(withoutSecrets(text));
}

function cleanFields(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? cleanLine(value) : value,
    ]),
  );
}

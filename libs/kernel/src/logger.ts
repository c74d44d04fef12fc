import { isWaybillError } from './errors/waybill-error.js';
import { oneLine, withoutSecrets } from './safe-text.js';

/** Ids and figures of a line; never payloads. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Where Waybill writes its log lines. `@waybill/nestjs` passes them to Nest's logger. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Discards all lines. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Whether work was given up because another process now owns it: normal in a hand-over, not a failure. */
export function isFenced(error: unknown): boolean {
  return isWaybillError(error) && error.code === 'FENCED';
}

const guarded = new WeakMap<Logger, Logger>();

/**
 * The logger to write to: the given one, made safe, or none. A line that cannot be written is lost; the work that it
 * reports continues. Each entry is one line, whatever it contains: an error's text or a key cannot forge a second one.
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

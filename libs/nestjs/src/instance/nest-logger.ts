import { Logger as NestLogger } from '@nestjs/common';
import { type LogFields, type Logger } from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';

/** Writes Waybill's log lines with Nest's logger: the message, then its ids. Never payloads. */
export class NestLoggerAdapter implements Logger {
  readonly #logger: NestLogger;

  constructor(context: string) {
    this.#logger = new NestLogger(context);
  }

  debug(message: string, fields?: LogFields): void {
    this.#logger.debug(line(message, fields));
  }

  info(message: string, fields?: LogFields): void {
    this.#logger.log(line(message, fields));
  }

  warn(message: string, fields?: LogFields): void {
    this.#logger.warn(line(message, fields));
  }

  error(message: string, fields?: LogFields): void {
    this.#logger.error(line(message, fields));
  }
}

function line(message: string, fields: LogFields = {}): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return shown.length === 0
    ? message
    : `${message} (${shown.map(([name, value]) => `${name}=${value}`).join(' ')})`;
}

/** The logger of an instance: the given one, or Nest's. Its failures do not interrupt work. */
export function loggerOf(instance: string, given: Logger | undefined): Logger {
  return guardLogger(
    given ?? new NestLoggerAdapter(instance === 'default' ? 'Waybill' : `Waybill:${instance}`),
  );
}

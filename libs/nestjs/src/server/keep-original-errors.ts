import type { ArgumentsHost } from '@nestjs/common';
import { BaseRpcExceptionFilter } from '@nestjs/microservices';
import { type Observable, throwError } from 'rxjs';
import { WaybillContext } from '../handler/waybill-context.js';

const installed = Symbol.for('waybill.keep-original-errors');

type Catch = (this: unknown, exception: unknown, host: ArgumentsHost) => Observable<unknown>;

/**
 * Nest's last exception filter replaces what a handler, guard or pipe threw by "Internal server error", because most
 * transports send the error to a stranger. Ours does not: retry policy and dead letter need the class and message. It
 * can be told from within only there, as the filter is created for each handler; for deliveries of Waybill, known by
 * their context, it hands the exception on. Filters of the user come before it, and have the last word.
 */
export function keepOriginalErrors(): void {
  const prototype = BaseRpcExceptionFilter.prototype as unknown as { catch: Catch; [installed]?: true };
  if (prototype[installed] === true) return;
  const original = prototype.catch;
  prototype.catch = function (exception, host) {
    const context: unknown = host.getArgByIndex(1);
    if (context instanceof WaybillContext) return throwError(() => exception);
    return original.call(this, exception, host);
  };
  prototype[installed] = true;
}

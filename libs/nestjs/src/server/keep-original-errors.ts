import type { ArgumentsHost } from '@nestjs/common';
import { BaseRpcExceptionFilter } from '@nestjs/microservices';
import { type Observable, throwError } from 'rxjs';
import { WaybillContext } from '../handler/waybill-context.js';

const installed = Symbol.for('waybill.keep-original-errors');

type Catch = (this: unknown, exception: unknown, host: ArgumentsHost) => Observable<unknown>;

/**
 * Nest's last exception filter replaces what a handler, guard or pipe threw by "Internal server error", because most
 * transports send the error to a stranger. Ours does not: retry policy and dead letters need the class and the message.
 * The filter is created for each handler, so the only way is to change it from within: for deliveries of Waybill,
 * recognised by their context, it passes the exception on. The user's filters run before it and have the last word.
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

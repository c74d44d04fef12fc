import { HandlerAbandonedError, HandlerTimedOutError } from '@waybill/kernel';

/** The runner's error for a handler that did not end in time, with the location of the record. */
export function nameTimeout(error: unknown, location: string): unknown {
  return error instanceof HandlerAbandonedError ? new HandlerTimedOutError(location, error.afterMs) : error;
}

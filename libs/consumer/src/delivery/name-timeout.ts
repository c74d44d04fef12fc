import { HandlerAbandoned, HandlerTimedOutError } from '@waybill/kernel';

/** The runner's word for a handler that did not end in time, with the name of the record. */
export function nameTimeout(error: unknown, place: string): unknown {
  return error instanceof HandlerAbandoned ? new HandlerTimedOutError(place, error.afterMs) : error;
}

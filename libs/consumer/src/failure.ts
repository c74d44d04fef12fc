import { HandlerAbandoned, HandlerTimedOutError, isWaybillError } from '@waybill/kernel';
import type { DeadLetterReason } from '@waybill/schedule';

/** What is to be done about a handler's failure. */
export type FailureKind = 'retry' | DeadLetterReason;

/** Judges what a handler threw, apart from how often it has been tried. */
export function judgeFailure(error: unknown): FailureKind {
  if (isWaybillError(error)) {
    if (error.code === 'HANDLER_NOT_RETRYABLE') return 'not-retryable';
    if (error.code === 'PAYLOAD_UNREADABLE') return 'payload-unreadable';
    return 'retry';
  }
  const status = httpStatusOf(error);
  // A request that was refused will be refused again; 408 and 429 only say "not now".
  if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429)
    return 'not-retryable';
  return 'retry';
}

/** The wait that an error asks for itself, in milliseconds. */
export function requestedDelayMs(error: unknown): number | undefined {
  const delayMs = isWaybillError(error) ? (error as { delayMs?: unknown }).delayMs : undefined;
  return typeof delayMs === 'number' && delayMs >= 0 ? delayMs : undefined;
}

/** The runner's word for a handler that did not end in time, with the name of the record. */
export function nameTimeout(error: unknown, place: string): unknown {
  return error instanceof HandlerAbandoned ? new HandlerTimedOutError(place, error.afterMs) : error;
}

/** Nest's HTTP exceptions, and others of their shape. */
function httpStatusOf(error: unknown): number | undefined {
  const getStatus = (error as { getStatus?: unknown } | null | undefined)?.getStatus;
  if (typeof getStatus !== 'function') return undefined;
  const status: unknown = getStatus.call(error);
  return typeof status === 'number' ? status : undefined;
}

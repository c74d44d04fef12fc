import { FencedError, NonRetryableError } from '@waybill/kernel';
import {
  from,
  isObservable,
  lastValueFrom,
  map,
  mergeMap,
  Observable,
  type ObservableInput,
  of,
  takeUntil,
  toArray,
} from 'rxjs';

/**
 * The values that a handler returns: those of an Observable or an async iterable, one after the other, or the result
 * itself. It fails when the delivery can no longer be committed, and unsubscribes from the handler's stream.
 */
export function valuesOf(result: unknown, signal: AbortSignal): Observable<unknown> {
  const source = isObservable(result) ? result : of(result);
  return source.pipe(
    mergeMap((value) => (isAsyncIterable(value) ? from(value) : of(value)), 1),
    takeUntil(abortOf(signal)),
  );
}

/** The last value; undefined when there is none. */
export function lastOf(values: Observable<unknown>): Promise<unknown> {
  return lastValueFrom(values, { defaultValue: undefined });
}

/** All values. @throws NonRetryableError if there are more than the limit */
export function allOf(values: Observable<unknown>, limit: number): Promise<unknown[]> {
  const counted = map((value: unknown, index: number) => {
    if (index >= limit)
      throw new NonRetryableError(
        `The reply to a request has more than ${limit} values. Reply in parts, or raise server.streamMaxValues.`,
      );
    return value;
  });
  return lastValueFrom(values.pipe(counted, toArray()));
}

function isAsyncIterable(value: unknown): value is ObservableInput<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Never emits; fails when the signal aborts. */
function abortOf(signal: AbortSignal): Observable<never> {
  return new Observable((subscriber) => {
    const fail = (): void => subscriber.error(new FencedError('The delivery was abandoned'));
    if (signal.aborted) return fail();
    signal.addEventListener('abort', fail, { once: true });
    return () => signal.removeEventListener('abort', fail);
  });
}

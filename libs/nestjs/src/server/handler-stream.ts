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
 * The values of what a handler has returned: those of an Observable or an async iterable, one after the other, and
 * anything else as it is. It fails when the delivery cannot be committed any more, and lets go of the handler's stream.
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

/** All values, up to a limit. @throws NonRetryableError beyond it */
export function allOf(values: Observable<unknown>, limit: number): Promise<unknown[]> {
  const counted = map((value: unknown, index: number) => {
    if (index >= limit)
      throw new NonRetryableError(
        `A request has more than ${limit} answers. Answer in parts, or raise server.streamMaxValues.`,
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
    const fail = (): void => subscriber.error(new FencedError('The delivery was given up'));
    if (signal.aborted) return fail();
    signal.addEventListener('abort', fail, { once: true });
    return () => signal.removeEventListener('abort', fail);
  });
}

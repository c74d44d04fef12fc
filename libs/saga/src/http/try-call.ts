import { describeError, isWaybillError, parseJson } from '@waybill/kernel';
import { cleanText } from '@waybill/kernel/internal';
import { EndpointRefusedError } from '../errors/saga-errors.js';
import type { HttpCall, SagaOp } from '../definition/saga-command.js';
import { idempotencyKey } from '../engine/saga-calls.js';
import {
  CALLBACK_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_OP_HEADER,
} from '../message/saga-headers.js';
import { headerText, usableHeaders } from './call-headers.js';
import { type EndpointResponse, type SagaEndpoints, NoResponseError } from './saga-endpoint.js';

/** Status codes of an endpoint that is still working on it. */
const ONGOING: ReadonlySet<number> = new Set([202, 425]);
/** Time to the next try when the endpoint does not say, in milliseconds. */
const ASK_AGAIN_MS = 1_000;
/** Longest `retry-after` that is respected, in milliseconds. */
const LONGEST_WISH_MS = 60_000;
const REASON_CHARS = 500;

/** The outcome of a try. */
export type TryOutcome =
  | { readonly type: 'done'; readonly payload: unknown }
  | { readonly type: 'rejected'; readonly reason: string }
  /** It is still at it, and is to be asked again. */
  | { readonly type: 'ongoing'; readonly afterMs: number }
  /** It will answer by its callback. */
  | { readonly type: 'later' }
  /** It has answered neither yes nor no. */
  | {
      readonly type: 'trouble';
      readonly error: string;
      readonly wasSent: boolean;
      readonly afterMs: number;
    }
  /** It cannot be called like this. Nothing was sent. */
  | { readonly type: 'unusable'; readonly error: string };

/** A call that this process has claimed. */
export interface ClaimedCall {
  readonly sagaId: string;
  readonly branch: string;
  readonly op: SagaOp;
  readonly step: string;
  readonly round: number;
  /** The saga's type. */
  readonly type: string;
  readonly http: HttpCall;
  readonly request: unknown;
  /** Token of the call, for an endpoint that may reply later. */
  readonly callback: string | undefined;
}

/** Limits of a try. */
export interface TryBounds {
  /** The end of its lease, by the process's monotonic clock. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

/** Makes one try of a call. Never throws: an error in a function of the definition is the call's failure. */
export async function tryCall(
  endpoints: SagaEndpoints,
  call: ClaimedCall,
  { untilMs, signal }: TryBounds,
): Promise<TryOutcome> {
  const { http, request } = call;
  try {
    const url = http.url.for(request);
    const response = await endpoints.call({
      about: { url, type: call.type, step: call.step },
      method: http.method,
      headers: headersOf(call),
      body: http.sendBody ? JSON.stringify(request) : undefined,
      untilMs,
      timeoutMs: http.timeoutMs ?? endpoints.limits.timeoutMs,
      signal,
    });
    return outcomeOf(http, response);
  } catch (error) {
    const why = cleanText(describeError(error), REASON_CHARS);
    if (error instanceof NoResponseError)
      return { type: 'trouble', error: why, wasSent: error.wasSent, afterMs: 0 };
    const refused = error instanceof EndpointRefusedError ? `${error.code}: ` : '';
    // A temporary failure, for example of the source of credentials, is retried.
    if (isWaybillError(error) && error.retryable)
      return { type: 'trouble', error: why, wasSent: false, afterMs: 0 };
    return { type: 'unusable', error: `${refused}${why}` };
  }
}

function headersOf({
  http,
  request,
  sagaId,
  branch,
  op,
  round,
  callback,
}: ClaimedCall): Record<string, string> {
  return {
    ...(http.sendBody ? { 'content-type': 'application/json' } : {}),
    ...usableHeaders(http.headers?.(request)),
    'idempotency-key': idempotencyKey(http, request, { sagaId, branch, op }, round),
    [SAGA_ID_HEADER]: sagaId,
    [SAGA_BRANCH_HEADER]: headerText(branch),
    [SAGA_OP_HEADER]: op,
    ...(callback === undefined ? {} : { [CALLBACK_HEADER]: callback }),
  };
}

function outcomeOf({ rejectOn, callback }: HttpCall, response: EndpointResponse): TryOutcome {
  const { status, text } = response;
  if (rejectOn.has(status)) return { type: 'rejected', reason: reasonOf(text) };
  if (status === 202 && callback) return { type: 'later' };
  if (ONGOING.has(status)) return { type: 'ongoing', afterMs: wishOf(response) ?? ASK_AGAIN_MS };
  if (status >= 200 && status < 300) return { type: 'done', payload: resultOf(text) };
  const error = `the endpoint responded ${status}`;
  return { type: 'trouble', error, wasSent: true, afterMs: wishOf(response) ?? 0 };
}

/** When the endpoint wants to be asked again, in milliseconds: `retry-after` (RFC 9110), in seconds or a date. */
function wishOf({ retryAfter }: EndpointResponse): number | undefined {
  if (retryAfter === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - Date.now();
  return Number.isFinite(ms) ? Math.min(LONGEST_WISH_MS, Math.max(0, ms)) : undefined;
}

/** The body of the response; one that is not JSON is a string. */
function resultOf(text: string): unknown {
  if (text === '') return null;
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

/** The reason of a rejection: the `message` of a JSON body, as in Nest's exceptions, or the body. */
function reasonOf(text: string): string {
  const { message } = (resultOf(text) ?? {}) as { message?: unknown };
  const reason = typeof message === 'string' ? message : text;
  return reason === '' ? 'the endpoint rejected the request' : cleanText(reason, REASON_CHARS);
}

import { type Given, oneOf, resolveOptions, wholeNumber } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import type { HttpCall, HttpCallName, SagaCommandContract, SagaOp } from './saga-command.js';
import type { SagaDefinition } from './saga-definition.js';
import { actionsOfStep, commandsOf } from './sent-commands.js';
import { urlTemplate } from './url-template.js';

const METHODS: readonly HttpCall['method'][] = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET'];

/** Status codes that are a rejection, unless the command names others. */
const REJECT_ON: readonly number[] = [409, 422];

const SPECS = {
  /** Default `POST`. */
  method: oneOf(METHODS, 'POST'),
  /**
   * Whether the endpoint may respond 202 and report the outcome later. The call then carries `waybill-callback`, a token
   * that `sagas.replyToCall` takes. Default false.
   */
  callback: flag(false),
};
const TIMEOUT = { timeoutMs: wholeNumber({ default: 25_000, min: 10, max: 600_000 }) };
const BODY = { sendBody: flag(false) };

/** How an endpoint is called. */
export type HttpCommandOptions<Request> = Given<typeof SPECS> & {
  /**
   * `http` or `https`, without user and password. Its path and query may take fields of the request, as
   * `https://api.example.com/orders/{orderId}/charge`; scheme, host and port are fixed, never taken from data.
   */
  readonly url: string;
  /** Makes headers from the request, at each try; they are never stored. */
  readonly headers?: (request: Request) => Readonly<Record<string, string>>;
  /** Status codes from 300 to 599 that are a rejection. Default 409 and 422. */
  readonly rejectOn?: readonly number[];
  /** Time limit of a try, response included, in milliseconds. Default: `sagas.http.timeoutMs`. */
  readonly timeoutMs?: number;
  /** Whether the request is sent as a JSON body. Default: not with GET and DELETE. */
  readonly sendBody?: boolean;
  /** The idempotency key: makes the same key for the same request. Default `sagaId/branch/op`. */
  readonly idempotencyKey?: (request: Request, call: HttpCallName) => string;
};

/** Placeholder topic of HTTP calls, which use none. */
export const HTTP_TOPIC = 'http';

/**
 * Declares a command that calls an HTTP endpoint. The saga's service makes it, with the payload as JSON and the headers
 * `idempotency-key` (the same at each try), `waybill-saga-id`, `waybill-saga-branch` and `waybill-saga-op`, from which an
 * endpoint with a barrier names the call. 200 to 299 means done, and a JSON body is the reply; 409 and 422 (`rejectOn`) are a
 * rejection; 202 and 425 mean still running, ask again; anything else is a failure, and the call is retried.
 * A call is never made after its compensation.
 *
 * @param to the URL, or the call's options. The service's credentials belong in its option `sagas.http.headers`
 * @throws ConfigurationError
 */
export function httpCommand<Request, Reply = void>(
  to: string | HttpCommandOptions<Request>,
): SagaCommandContract<Request, Reply> {
  const { url, headers, rejectOn, timeoutMs, sendBody, idempotencyKey, ...rest } =
    typeof to === 'string' ? { url: to } : to;
  const template = urlTemplate(url);
  const { method, callback } = resolveOptions('HTTP command', SPECS, rest, () => [
    ...isFunction('headers', headers),
    ...isFunction('idempotencyKey', idempotencyKey),
    ...rejectionProblems(rejectOn),
  ]);
  const http: HttpCall = Object.freeze({
    url: template,
    method,
    callback,
    sendBody: isSending(method, sendBody),
    rejectOn: new Set(rejectOn ?? REJECT_ON),
    timeoutMs:
      timeoutMs === undefined ? undefined : resolveOptions('HTTP command', TIMEOUT, { timeoutMs }).timeoutMs,
    headers: headers as HttpCall['headers'],
    idempotencyKey: idempotencyKey as HttpCall['idempotencyKey'],
  });
  return Object.freeze({ topic: HTTP_TOPIC, url, http });
}

function isSending(method: HttpCall['method'], given: boolean | undefined): boolean {
  if (given === undefined) return method !== 'GET' && method !== 'DELETE';
  return resolveOptions('HTTP command', BODY, { sendBody: given }).sendBody;
}

function isFunction(name: string, value: unknown): string[] {
  return value === undefined || typeof value === 'function' ? [] : [`${name} must be a function`];
}

function rejectionProblems(codes: unknown): string[] {
  const isCode = (code: unknown): boolean =>
    Number.isInteger(code) && Number(code) >= 300 && Number(code) < 600;
  if (codes === undefined || (Array.isArray(codes) && codes.every(isCode))) return [];
  return ['rejectOn must be an array of status codes from 300 to 599'];
}

/** The HTTP calls of a definition. */
export function callsOf(definition: Pick<SagaDefinition, 'steps'>): HttpCall[] {
  return commandsOf(definition).flatMap(({ http }) => http ?? []);
}

/** The call of a step for an operation; undefined when it is not an HTTP call. */
export function callOfStep(definition: SagaDefinition, step: string, op: SagaOp): HttpCall | undefined {
  for (const action of actionsOfStep(definition, step))
    if (action?.kind === 'command' && action.op === op) return action.command.http;
  return undefined;
}

import { type ErrorCode, isWaybillError, type WaybillError } from '@waybill/kernel';
import { type DeadLetterReason } from '@waybill/dead-letter';
import { retryDelayMs, type RetryPolicy, retryRuleFor } from '../policy/retry-policy.js';
import { statusOf } from '../reply/remote-error.js';
import { HandlerVerdict } from '../handler/handler-verdict.js';

/** What follows an attempt that was not successful. */
export type Decision =
  | {
      readonly kind: 'retry';
      readonly delayMs: number;
      /** Whether the attempt counts. */
      readonly counts: boolean;
    }
  | { readonly kind: 'dead-letter'; readonly reason: DeadLetterReason; readonly error: unknown }
  | { readonly kind: 'drop'; readonly reason: string };

/** The history of a message. */
export interface FailedAttempt {
  /** The handler's error or verdict. */
  readonly error: unknown;
  /** Number of attempts that count, including the failed one. */
  readonly attempts: number;
  /** How long ago the first attempt failed, in milliseconds. */
  readonly failingForMs: number;
}

/** Errors after which no later attempt can succeed: those that a handler declares, and final refusals of guards. */
const NOT_RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'BARRIER_NAME_INVALID',
  'ENDPOINT_REFUSED',
  'EFFECT_REFUSED',
  'EFFECT_UNDONE',
  'HANDLER_NOT_RETRYABLE',
  'ID_MISMATCH',
  'ID_OUTSIDE_WINDOW',
  'MESSAGE_ID_INVALID',
  'REPLY_TOPIC_REFUSED',
  'SIGNATURE_INVALID',
  'SUBJECT_ERASED',
]);

/** Errors that mean that the message can never be read. */
const UNREADABLE: ReadonlySet<ErrorCode> = new Set(['PAYLOAD_UNREADABLE', 'CONTENT_UNDECIPHERABLE']);

/** Longest wait that an error may ask for, in milliseconds: a year. */
const LONGEST_DELAY_MS = 365 * 86_400_000;

/** Shortest and longest wait of a message for a process that knows its version, in milliseconds. */
const NEWER_MIN_MS = 1_000;
const NEWER_MAX_MS = 60_000;

/** Decides by the policy what follows a failed attempt. @param random from 0 up to 1, for the jitter */
export function decideRetry(policy: RetryPolicy, failed: FailedAttempt, random: number): Decision {
  const { error, attempts, failingForMs } = failed;
  if (error instanceof HandlerVerdict) return decideVerdict(policy, error, failingForMs);
  if (isFromNewer(error)) return decideNewer(policy, error, failingForMs);
  const refusal = refusalOf(error);
  if (refusal !== undefined) return { kind: 'dead-letter', reason: refusal, error };
  const rule = retryRuleFor(policy, error);
  if (rule === 'never') return { kind: 'dead-letter', reason: 'not-retryable', error };
  const spent = rule.onExhausted === 'dead-letter';
  if (spent && attempts >= rule.maxAttempts) return { kind: 'dead-letter', reason: 'attempts-spent', error };
  const delayMs = requestedDelayMs(error) ?? retryDelayMs(rule, attempts, random, error);
  if (spent && isTooOld(rule.maxAgeMs, failingForMs + delayMs))
    return { kind: 'dead-letter', reason: 'too-old', error };
  return { kind: 'retry', delayMs, counts: true };
}

/** Whether a failure concerns the handler's environment, not only this message. */
export function isHandlersTrouble(error: unknown): boolean {
  return !(error instanceof HandlerVerdict) && !isFromNewer(error) && refusalOf(error) === undefined;
}

/** Whether such an attempt counts: a message that is only to be delivered later has not failed. */
export function countsAs(error: unknown): 0 | 1 {
  return (error instanceof HandlerVerdict && error.kind === 'retry') || isFromNewer(error) ? 0 : 1;
}

/** Whether a message has a schema version that this process does not know yet; this is not a failure. */
export function isFromNewer(error: unknown): boolean {
  return isWaybillError(error) && error.code === 'PAYLOAD_VERSION_UNKNOWN';
}

function decideVerdict(policy: RetryPolicy, verdict: HandlerVerdict, failingForMs: number): Decision {
  const { kind, delayMs, reason } = verdict;
  if (kind === 'drop') return { kind, reason };
  const error = new Error(reason === '' ? 'the handler asked for a later delivery' : reason);
  error.name = 'HandlerVerdict';
  if (kind === 'dead-letter') return { kind, reason: 'by-handler', error };
  if (isTooOld(policy.maxAgeMs, failingForMs + delayMs))
    return { kind: 'dead-letter', reason: 'too-old', error };
  return { kind, delayMs, counts: false };
}

/** Waits as long as it has waited so far, up to a minute: a process that knows the version may take it over. */
function decideNewer(policy: RetryPolicy, error: unknown, failingForMs: number): Decision {
  const delayMs = Math.ceil(Math.min(NEWER_MAX_MS, Math.max(NEWER_MIN_MS, failingForMs)));
  if (isTooOld(policy.maxAgeMs, failingForMs + delayMs))
    return { kind: 'dead-letter', reason: 'too-old', error };
  return { kind: 'retry', delayMs, counts: false };
}

function isTooOld(maxAgeMs: number, ageMs: number): boolean {
  return maxAgeMs > 0 && ageMs > maxAgeMs;
}

/** Why no later attempt can succeed; undefined if one may. */
function refusalOf(error: unknown): DeadLetterReason | undefined {
  if (isWaybillError(error)) {
    if (NOT_RETRYABLE.has(error.code)) return 'not-retryable';
    if (isUnfit(error)) return 'payload-invalid';
    return UNREADABLE.has(error.code) ? 'payload-unreadable' : undefined;
  }
  return isHttpRefusal(error) ? 'not-retryable' : undefined;
}

/** Whether the message itself does not fit its schema, as opposed to one that the handler was about to publish. */
function isUnfit(error: WaybillError): boolean {
  if (error.code === 'PAYLOAD_INVALID') return (error as { when?: unknown }).when === 'handling';
  return error.code === 'PAYLOAD_VERSION_UNSUPPORTED';
}

/** Whether it is an HTTP error that means that the request will be refused again; 408 and 429 only mean "not now". */
export function isHttpRefusal(error: unknown): boolean {
  const status = statusOf(error);
  return status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** The wait that an error asks for, in milliseconds. */
function requestedDelayMs(error: unknown): number | undefined {
  const delayMs = isWaybillError(error) ? (error as { delayMs?: unknown }).delayMs : undefined;
  return typeof delayMs === 'number' && delayMs >= 0 ? Math.min(delayMs, LONGEST_DELAY_MS) : undefined;
}

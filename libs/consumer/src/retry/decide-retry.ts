import { type ErrorCode, isWaybillError, type WaybillError } from '@waybill/kernel';
import { type DeadLetterReason } from '@waybill/dead-letter';
import { retryDelayMs, type RetryPolicy, retryRuleFor } from '../policy/retry-policy.js';
import { statusOf } from '../reply/remote-error.js';
import { HandlerVerdict } from '../handler/handler-verdict.js';

/** What is done about an attempt that did not end well. */
export type Decision =
  | {
      readonly kind: 'retry';
      readonly delayMs: number;
      /** Whether the attempt counts. */
      readonly counts: boolean;
    }
  | { readonly kind: 'dead-letter'; readonly reason: DeadLetterReason; readonly error: unknown }
  | { readonly kind: 'drop'; readonly reason: string };

/** What has come of a message so far. */
export interface FailedAttempt {
  /** What the handler threw, or the verdict that it gave. */
  readonly error: unknown;
  /** Attempts made that count, the failed one included. */
  readonly attempts: number;
  /** How long ago the first attempt failed, in milliseconds. */
  readonly failingForMs: number;
}

/** Errors after which no later attempt can succeed: what a handler says itself, and what guards refuse for good. */
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

/** Errors that say that the message cannot be read, however often that is tried. */
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

/** Whether a failure says something about the handler's surroundings, not about this message alone. */
export function isHandlersTrouble(error: unknown): boolean {
  return !(error instanceof HandlerVerdict) && !isFromNewer(error) && refusalOf(error) === undefined;
}

/** Whether an attempt that ended so counts: nothing has failed where a message is only to be handed over later. */
export function countsAs(error: unknown): 0 | 1 {
  return (error instanceof HandlerVerdict && error.kind === 'retry') || isFromNewer(error) ? 0 : 1;
}

/** Whether a message is of a version of its schema that this process does not know yet; that is not a failure. */
export function isFromNewer(error: unknown): boolean {
  return isWaybillError(error) && error.code === 'PAYLOAD_VERSION_UNKNOWN';
}

function decideVerdict(policy: RetryPolicy, verdict: HandlerVerdict, failingForMs: number): Decision {
  const { kind, delayMs, reason } = verdict;
  if (kind === 'drop') return { kind, reason };
  const error = new Error(reason === '' ? 'the handler asked for it to be handed over later' : reason);
  error.name = 'HandlerVerdict';
  if (kind === 'dead-letter') return { kind, reason: 'by-handler', error };
  if (isTooOld(policy.maxAgeMs, failingForMs + delayMs))
    return { kind: 'dead-letter', reason: 'too-old', error };
  return { kind, delayMs, counts: false };
}

/** It waits for as long again as it has waited, up to a minute: a process that knows it takes it over. */
function decideNewer(policy: RetryPolicy, error: unknown, failingForMs: number): Decision {
  const delayMs = Math.ceil(Math.min(NEWER_MAX_MS, Math.max(NEWER_MIN_MS, failingForMs)));
  if (isTooOld(policy.maxAgeMs, failingForMs + delayMs))
    return { kind: 'dead-letter', reason: 'too-old', error };
  return { kind: 'retry', delayMs, counts: false };
}

function isTooOld(maxAgeMs: number, ageMs: number): boolean {
  return maxAgeMs > 0 && ageMs > maxAgeMs;
}

/** Why no later attempt can succeed; undefined when one may. */
function refusalOf(error: unknown): DeadLetterReason | undefined {
  if (isWaybillError(error)) {
    if (NOT_RETRYABLE.has(error.code)) return 'not-retryable';
    if (isUnfit(error)) return 'payload-invalid';
    return UNREADABLE.has(error.code) ? 'payload-unreadable' : undefined;
  }
  return isHttpRefusal(error) ? 'not-retryable' : undefined;
}

/** Whether the message itself does not fit its schema; not one that the handler was about to publish. */
function isUnfit(error: WaybillError): boolean {
  if (error.code === 'PAYLOAD_INVALID') return (error as { when?: unknown }).when === 'handling';
  return error.code === 'PAYLOAD_VERSION_UNSUPPORTED';
}

/** Whether it is an HTTP error that says that the request will be refused again; 408 and 429 only say "not now". */
export function isHttpRefusal(error: unknown): boolean {
  const status = statusOf(error);
  return status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** The wait that an error asks for itself, in milliseconds. */
function requestedDelayMs(error: unknown): number | undefined {
  const delayMs = isWaybillError(error) ? (error as { delayMs?: unknown }).delayMs : undefined;
  return typeof delayMs === 'number' && delayMs >= 0 ? Math.min(delayMs, LONGEST_DELAY_MS) : undefined;
}

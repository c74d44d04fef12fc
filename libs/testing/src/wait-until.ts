import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from './process/system-error.js';
import { withPatience } from './patience.js';
import { TestingError } from './testing-error.js';

/** Options of a wait. */
export interface WaitUntilOptions {
  /** Description of the condition, for the error; a function can report the last state seen. */
  readonly describe: string | (() => string);
  /** Default 15,000; the environment variable WAYBILL_PATIENCE (1 to 100) multiplies it, for slow machines. */
  readonly timeoutMs?: number;
  /** Pause between two checks. Default 20. */
  readonly intervalMs?: number;
  /** Ends the wait early with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until a claim holds. A claim that throws does not hold yet.
 * @throws TestingError WAIT_TIMED_OUT, with the last error of the claim as its cause
 */
export async function waitUntil(
  claim: () => Promise<boolean> | boolean,
  options: WaitUntilOptions,
): Promise<void> {
  const { intervalMs = 20, signal } = options;
  const timeoutMs = withPatience(options.timeoutMs ?? 15_000);
  const until = performance.now() + timeoutMs;
  let error: unknown;
  do {
    signal?.throwIfAborted();
    const seen = await look(claim, until - performance.now(), signal);
    if (seen === undefined) break;
    if (seen.held) return;
    error = seen.error;
    await pause(intervalMs, signal);
  } while (performance.now() < until);
  signal?.throwIfAborted();
  throw timedOut(options.describe, timeoutMs, error);
}

interface Look {
  readonly held: boolean;
  readonly error?: unknown;
}

/** Undefined when the claim has not resolved in time: one that hangs must not outlast the wait. */
async function look(
  claim: () => Promise<boolean> | boolean,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<Look | undefined> {
  const answered = new AbortController();
  const late = pause(ms, signal === undefined ? answered.signal : AbortSignal.any([answered.signal, signal]));
  const answer = (async (): Promise<Look> => ({ held: await claim() }))();
  try {
    return await Promise.race([answer.catch((error: unknown) => ({ held: false, error })), late]);
  } finally {
    answered.abort();
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<undefined> {
  return delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

function timedOut(describe: string | (() => string), timeoutMs: number, cause: unknown): TestingError {
  const what = typeof describe === 'string' ? describe : describe();
  const reason = cause === undefined ? '' : ` The last check failed: ${describeError(cause)}.`;
  return new TestingError(
    'WAIT_TIMED_OUT',
    `Waited ${timeoutMs} ms without result for: ${what}.${reason} Find out why it does not happen, or raise timeoutMs.`,
    { cause },
  );
}

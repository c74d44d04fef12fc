import { type RetryPolicy, type RetryRule, type Subscription } from '@waybill/consumer';
import { retryDelayMs } from '@waybill/consumer/internal';
import type { IdempotentGuard } from './guard-kind.js';

/** A handler that recognises messages by id, and the time within which its messages may be repeated. */
export interface GuardedHandler {
  readonly guard: Exclude<IdempotentGuard, 'entry'>;
  /** For error messages: `Billing.onPlaced`. */
  readonly where: string;
  readonly retry: RetryPolicy;
  readonly maxProcessingMs: number;
}

/** A handler with a guard, and its subscription. */
export interface GuardedSubscription extends Pick<GuardedHandler, 'guard' | 'where'> {
  readonly subscription: Subscription;
}

/** Sources of repeated messages other than the handler's attempts, and the guards' windows. In milliseconds. */
export interface GuardHorizons {
  readonly windowMs: Readonly<Record<GuardedHandler['guard'], number>>;
  /** How long the log keeps a record: the longest retention of all its topics plus one bucket. */
  readonly logMs: number;
  /** How long a closed dead letter is kept. */
  readonly deadLettersMs: number;
}

/**
 * Checks the windows of guards: each must cover the whole time in which a message may be delivered again, or a due
 * message would be refused. How long a message was delayed before it entered the log does not matter: its age counts
 * from then.
 */
export function problemsOfWindows(
  handlers: readonly GuardedHandler[],
  { windowMs, logMs, deadLettersMs }: GuardHorizons,
): string[] {
  return handlers.flatMap(({ guard, where, retry, maxProcessingMs }) => {
    const window = windowMs[guard];
    const option = guard === 'lease' ? 'guards.lease.windowMs' : 'guards.windowMs';
    const horizons: [string, number][] = [
      ['the log keeps records (the longest retentionMs of its topics plus bucketMs)', logMs],
      ['dead letters are kept (retention.deadLetters.closedMs)', deadLettersMs],
      ['its attempts may take (retry, maxProcessingMs)', retryHorizonMs(retry, maxProcessingMs)],
    ];
    return horizons
      .filter(([, horizon]) => horizon > window)
      .map(([what, horizon]) =>
        horizon === Infinity
          ? `${where} may be retried forever, which no window of guard ${guard} can cover: set retry.maxAgeMs, without onExhausted block`
          : `${option} is ${window} ms, but for ${where} it must be at least the ${horizon} ms that ${what}`,
      );
  });
}

/** How long after the first attempt the last one may end, in milliseconds; Infinity if unlimited. */
export function retryHorizonMs(policy: RetryPolicy, maxProcessingMs: number): number {
  const rules = [policy, ...policy.byError.flatMap(({ retry }) => (retry === 'never' ? [] : [retry]))];
  return Math.max(...rules.map((rule) => horizonOf(rule, maxProcessingMs)));
}

function horizonOf(rule: RetryRule, maxProcessingMs: number): number {
  if (rule.onExhausted === 'block') return Infinity;
  // The age is checked before an attempt starts.
  const byAge = rule.maxAgeMs > 0 ? rule.maxAgeMs + maxProcessingMs : Infinity;
  if (rule.backoff === 'custom') return byAge;
  let waits = 0;
  for (let attempt = 1; attempt < rule.maxAttempts; attempt += 1) waits += retryDelayMs(rule, attempt, 0);
  return Math.min(byAge, waits + rule.maxAttempts * maxProcessingMs);
}

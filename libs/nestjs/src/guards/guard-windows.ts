import { type RetryPolicy, type RetryRule, type Subscription } from '@waybill/consumer';
import { retryDelayMs } from '@waybill/consumer/internal';
import type { IdempotentGuard } from './guard-kind.js';

/** A handler that knows a message by its id, and how long its messages may come again. */
export interface GuardedHandler {
  readonly guard: Exclude<IdempotentGuard, 'entry'>;
  /** For messages: `Billing.onPlaced`. */
  readonly where: string;
  readonly retry: RetryPolicy;
  readonly maxProcessingMs: number;
}

/** A handler with a guard, and the subscription that it belongs to. */
export interface GuardedSubscription extends Pick<GuardedHandler, 'guard' | 'where'> {
  readonly subscription: Subscription;
}

/** What a message may come again by, beside its handler's attempts, and how long the guards know it. In milliseconds. */
export interface GuardHorizons {
  readonly windowMs: Readonly<Record<GuardedHandler['guard'], number>>;
  /** How long the log keeps a record: the longest retention of all its topics, and a bucket. */
  readonly logMs: number;
  /** How long a closed dead letter is kept. */
  readonly deadLettersMs: number;
}

/**
 * What is wrong with the windows of guards: each must reach as far back as a message may be handed over again, or a
 * message that is due would be refused. How long a message was delayed before it came into the log does not matter: it is
 * judged by when it came there.
 */
export function problemsOfWindows(
  handlers: readonly GuardedHandler[],
  { windowMs, logMs, deadLettersMs }: GuardHorizons,
): string[] {
  return handlers.flatMap(({ guard, where, retry, maxProcessingMs }) => {
    const window = windowMs[guard];
    const option = guard === 'lease' ? 'guards.lease.windowMs' : 'guards.windowMs';
    const horizons: [string, number][] = [
      ['the log keeps records for (the longest retentionMs of its topics, and bucketMs)', logMs],
      ['dead letters are kept for (retention.deadLetters.closedMs)', deadLettersMs],
      ['its attempts may take (retry, maxProcessingMs)', retryHorizonMs(retry, maxProcessingMs)],
    ];
    return horizons
      .filter(([, horizon]) => horizon > window)
      .map(([what, horizon]) =>
        horizon === Infinity
          ? `${where} may be tried for ever, which no window of guard ${guard} outlasts: set retry.maxAgeMs, without onExhausted block`
          : `${option} is ${window} ms, which for ${where} must be at least the ${horizon} ms that ${what}`,
      );
  });
}

/** How long after the first attempt the last may end, in milliseconds; Infinity when nothing bounds it. */
export function retryHorizonMs(policy: RetryPolicy, maxProcessingMs: number): number {
  const rules = [policy, ...policy.byError.flatMap(({ retry }) => (retry === 'never' ? [] : [retry]))];
  return Math.max(...rules.map((rule) => horizonOf(rule, maxProcessingMs)));
}

function horizonOf(rule: RetryRule, maxProcessingMs: number): number {
  if (rule.onExhausted === 'block') return Infinity;
  // The age is looked at before an attempt begins.
  const byAge = rule.maxAgeMs > 0 ? rule.maxAgeMs + maxProcessingMs : Infinity;
  if (rule.backoff === 'custom') return byAge;
  let waits = 0;
  for (let attempt = 1; attempt < rule.maxAttempts; attempt += 1) waits += retryDelayMs(rule, attempt, 0);
  return Math.min(byAge, waits + rule.maxAttempts * maxProcessingMs);
}

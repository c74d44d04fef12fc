import type { BoundStatement } from '@waybill/kernel';
import type { DeadLetterReason } from '@waybill/dead-letter';
import type { FailedRecord } from '../delivery/delivery-transaction.js';
import type { Permit } from '../delivery/permits.js';
import type { Verdict, VerdictWriter } from '../delivery/verdict-writer.js';
import type { LaneRecord } from '../record/lane-record.js';
import type { CrashVerdict } from './crash-verdict.js';
import { deadLetterStatements } from './dead-letter-statements.js';
import { countsAs, decideRetry } from './decide-retry.js';
import type { Failing } from './failing.js';
import type { LaneAttempts } from './lane-attempts.js';
import type { LaneEnvironment } from './lane-context.js';
import { reportDeadLetter, reportDropped, reportFailedAttempt } from './report-outcome.js';

/** The history of a message. */
export interface AttemptHistory {
  /** Number of attempts that count. */
  attempts: number;
  /** When the first attempt failed, by the monotonic clock; undefined if none has. */
  failingSince: number | undefined;
}

/**
 * A message that is followed until it ends. It comes from the log or was parked, and defines what its end means there.
 */
export interface FollowedMessage {
  readonly record: LaneRecord;
  readonly history: AttemptHistory;
  /** How its end is stored. */
  verdict(kind: 'dead' | 'dropped' | 'expired'): Verdict;
  /** Parks it until an operator decides, and commits its dead letter in the same transaction. */
  awaitOperator(failing: Failing, letter: readonly BoundStatement[], permit: Permit): Promise<void>;
  /** Parks it until its next attempt; false if it has to be retried in place. */
  wait(failing: Failing, delayMs: number, permit: Permit): Promise<boolean>;
  /** Records, before a retry in place, that the process has survived a failed attempt. */
  survived(permit: Permit): Promise<void>;
  /** Makes another attempt; resolves to undefined if it is done, with its verdict committed. */
  attempt(attempt: number, permit: Permit): Promise<FailedRecord | undefined>;
}

/** What failures are followed with. */
export interface FailureTools {
  readonly environment: LaneEnvironment;
  readonly attempts: LaneAttempts;
  readonly writer: VerdictWriter;
}

/** Follows a failed attempt to its end: a successful attempt, a verdict, or parking. */
export async function followFailure(
  tools: FailureTools,
  message: FollowedMessage,
  failed: FailedRecord,
  permit: Permit,
): Promise<void> {
  const { environment, attempts, writer } = tools;
  const { context, subscription } = environment;
  for (let last: FailedRecord | undefined = failed; last !== undefined;) {
    const failing = failingOf(tools, message, last.error, countsAs(last.error));
    const decision = decideRetry(subscription.retry, failing, context.random());
    reportFailedAttempt(environment, failing, decision);
    if (decision.kind === 'drop') {
      await writer.store(message.verdict('dropped'), permit);
      return reportDropped(environment, failing, decision.reason);
    }
    if (decision.kind === 'dead-letter')
      return deadLetter(tools, message, { ...failing, error: decision.error }, decision.reason, permit);
    message.history.attempts = failing.attempts;
    const { delayMs } = decision;
    if (delayMs > 0 && (await message.wait(failing, delayMs, permit))) return;
    // While it waits, others run: a crash is then not attributed to it.
    await message.survived(permit);
    await attempts.pauseBeforeRetry(delayMs, permit);
    last = await message.attempt(failing.attempts + 1, permit);
  }
}

/** Gives an expired message the verdict that its topic asks for. */
export async function expire(tools: FailureTools, message: FollowedMessage, permit: Permit): Promise<void> {
  const { context, topic } = tools.environment;
  context.counters.expired += 1;
  if (topic.onExpired === 'dead-letter') {
    const error = new Error('its expiresAt had passed before it was handled');
    return deadLetter(tools, message, failingOf(tools, message, error, 0), 'expired', permit);
  }
  await tools.writer.store(message.verdict('expired'), permit);
}

/** Makes a message a dead letter that has crashed its process or lost its connection too often. */
export async function giveUp(
  tools: FailureTools,
  message: FollowedMessage,
  { reason, times, error }: CrashVerdict,
  permit: Permit,
): Promise<void> {
  // Each of them ended an attempt.
  await deadLetter(tools, message, failingOf(tools, message, error, times), reason, permit);
}

async function deadLetter(
  tools: FailureTools,
  message: FollowedMessage,
  failing: Failing,
  reason: DeadLetterReason,
  permit: Permit,
): Promise<void> {
  const { environment, attempts, writer } = tools;
  const letter = await deadLetterStatements(environment, failing, reason, (work) =>
    attempts.read(permit, work),
  );
  if (environment.topic.onDeadLetter === 'unblock')
    await writer.store(message.verdict('dead'), permit, letter);
  else await message.awaitOperator(failing, letter, permit);
  reportDeadLetter(environment, failing, reason);
}

function failingOf(
  { environment }: FailureTools,
  { record, history }: FollowedMessage,
  error: unknown,
  counts: number,
): Failing {
  const now = environment.context.clock.monotonic();
  history.failingSince ??= now;
  return {
    record,
    error,
    attempts: history.attempts + counts,
    failingForMs: now - history.failingSince,
  };
}

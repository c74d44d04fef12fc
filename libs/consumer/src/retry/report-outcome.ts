import { describeError } from '@waybill/kernel';
import type { DeadLetterReason } from '@waybill/dead-letter';
import { HandlerVerdict } from '../handler/handler-verdict.js';
import { controlOf, headersOf, locationOf, messageIdOf } from '../record/record-fields.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import { type Decision, isFromNewer } from './decide-retry.js';
import type { Failing } from './failing.js';
import type { LaneEnvironment } from './lane-context.js';

/** Logs and counts a failed attempt once it is decided what follows. */
export function reportFailedAttempt(
  environment: LaneEnvironment,
  failing: Failing,
  decision: Decision,
): void {
  const { counters, logger } = environment.context;
  const { error, attempts } = failing;
  if (decision.kind === 'retry')
    reportOutcome(environment, failing, { kind: 'retry', error, delayMs: decision.delayMs });
  if (error instanceof HandlerVerdict) return;
  const location = locationIn(environment, failing);
  const isWaiting = isFromNewer(error);
  if (!isWaiting) counters.failed(attempts);
  const what = isWaiting ? `${location} waits` : `attempt ${attempts} of ${location} failed`;
  logger.warn(`${what}: ${describeError(error)}`, { ...fieldsIn(environment, failing), attempt: attempts });
}

/** Logs that a message has become a dead letter, once that is committed. */
export function reportDeadLetter(
  environment: LaneEnvironment,
  failing: Failing,
  reason: DeadLetterReason,
): void {
  const { counters, logger } = environment.context;
  const { error, attempts } = failing;
  counters.deadLetters += 1;
  reportOutcome(environment, failing, { kind: 'dead-letter', error, delayMs: undefined });
  const location = locationIn(environment, failing);
  logger.error(`${location} is a dead letter (${reason}): ${describeError(error)}`, {
    ...fieldsIn(environment, failing),
    attempts,
  });
}

/** Logs that a message was dropped, once that is committed. */
export function reportDropped(environment: LaneEnvironment, failing: Failing, reason: string): void {
  const { counters, logger } = environment.context;
  counters.dropped += 1;
  reportOutcome(environment, failing, { kind: 'drop', error: undefined, delayMs: undefined });
  logger.warn(`${locationIn(environment, failing)} was dropped: ${reason}`, fieldsIn(environment, failing));
}

/** Notifies listeners of the outcomes of attempts. Their errors are not the message's failure. */
function reportOutcome(
  { context, topic, partition }: LaneEnvironment,
  { record: { offset, record }, attempts }: Failing,
  more: Pick<AttemptOutcome, 'kind' | 'error' | 'delayMs'>,
): void {
  try {
    context.onAttemptOutcome?.({
      group: context.group,
      topic: topic.name,
      partition,
      offset,
      messageId: messageIdOf(record),
      headers: headersOf(record),
      control: controlOf(record),
      attempts,
      ...more,
    });
  } catch (error) {
    context.logger.warn(`onAttemptOutcome failed: ${describeError(error)}`, { topic: topic.name });
  }
}

function locationIn({ topic, partition }: LaneEnvironment, { record }: Failing): string {
  return locationOf(topic.name, partition, record.offset);
}

function fieldsIn({ context }: LaneEnvironment, { record }: Failing): Record<string, string | null> {
  return { group: context.group, messageId: messageIdOf(record.record) };
}

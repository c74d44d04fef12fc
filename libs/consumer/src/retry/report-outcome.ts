import { describeError } from '@waybill/kernel';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, headersOf, messageIdOf } from '../record/record-fields.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import type { LaneEnvironment } from './lane-context.js';

/** Tells those who follow the outcomes of attempts. What they throw is not the message's failure. */
export function reportOutcome(
  { context, topic, partition }: LaneEnvironment,
  { offset, record }: LaneRecord,
  more: Pick<AttemptOutcome, 'kind' | 'attempts' | 'error' | 'delayMs'>,
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
      ...more,
    });
  } catch (error) {
    context.logger.warn(`onAttemptOutcome failed: ${describeError(error)}`, { topic: topic.name });
  }
}

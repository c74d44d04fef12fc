import { describeError } from '@waybill/kernel';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, headersOf, messageIdOf } from '../record/record-fields.js';
import type { Settlement } from './attempt-outcome.js';
import type { LaneSetting } from './lane-context.js';

/** Tells those who follow the settlements of a consumer. What they throw is not the message's failure. */
export function reportOutcome(
  { context, topic, partition }: LaneSetting,
  { offset, record }: LaneRecord,
  more: Pick<Settlement, 'kind' | 'attempts' | 'error' | 'delayMs'>,
): void {
  try {
    context.onSettled?.({
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
    context.logger.warn(`a follower of settlements failed: ${describeError(error)}`, { topic: topic.name });
  }
}

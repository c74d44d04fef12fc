import { describeError } from '@waybill/kernel';
import { controlOf, type LaneRecord, headersOf, messageIdOf } from '../handler/delivery.js';
import type { LaneSetting } from './lane-context.js';
import type { Headers } from '../reply/reply.js';

/** What became of a message that was not done in an attempt. */
export interface Settlement {
  /** `retry` when it was decided; the others once they are committed. */
  readonly kind: 'retry' | 'dead-letter' | 'drop';
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string | null;
  readonly headers: Headers;
  /** Headers of Waybill's own. */
  readonly control: Headers;
  /** Attempts made that count. */
  readonly attempts: number;
  /** What the last attempt threw; undefined when the message was dropped. */
  readonly error: unknown;
  /** The wait before the next attempt, in milliseconds; undefined unless there is one. */
  readonly delayMs: number | undefined;
}

/** Tells those who follow the settlements of a consumer. What they throw is not the message's failure. */
export function tellSettled(
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

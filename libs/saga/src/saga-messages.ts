import type { Message } from '@waybill/outbox';
import type { SagaEvent } from './saga-event.js';
import { SAGA_EVENT_HEADER, SAGA_ID_HEADER } from './saga-headers.js';

/** An operator behind an event: it counts only while the saga is as the operator saw it. */
export interface OperatorOrder {
  readonly by: string;
  readonly reason: string | null;
  /** The saga's revision that the operator saw. */
  readonly revision: number;
  /** When it was ordered, in milliseconds since 1970 by the operator's clock: tells two orders apart. */
  readonly orderedMs: number;
}

/** What a message to a saga that is no answer holds. */
export interface EventPayload {
  readonly event: SagaEvent;
  readonly order?: OperatorOrder;
}

/** The message that tells a saga of an event by way of the log. */
export function eventMessage(
  id: string,
  replyTopic: string,
  event: SagaEvent,
  order?: OperatorOrder,
): Message<EventPayload> {
  return {
    topic: replyTopic,
    key: id,
    headers: { [SAGA_ID_HEADER]: id, [SAGA_EVENT_HEADER]: event.type },
    payload: order === undefined ? { event } : { event, order },
  };
}

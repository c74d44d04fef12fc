import type { SqlSession } from '@waybill/kernel';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import type { SagaEvent } from '../machine/saga-event.js';
import { SAGA_EVENT_HEADER, SAGA_ID_HEADER, SAGA_MAC_HEADER } from './saga-headers.js';
import type { SagaKeys } from './saga-keys.js';

/** What a saga may be told by way of the log, other than an answer. Orders of operators never come that way. */
export type WireEvent = Extract<
  SagaEvent,
  { type: 'signal' | 'event' | 'child' | 'undo' | 'cancel' | 'turn' }
>;

/** What a message to a saga that is no answer holds. */
export interface EventPayload {
  readonly event: WireEvent;
}

/** What the message of an event is made with. */
export interface EventDependencies {
  readonly outbox: Outbox;
  readonly keys: SagaKeys;
  /** Whose data the saga has; null for nobody's. */
  readonly subject: string | null;
}

/**
 * The message that tells a saga of an event by way of the log, with the MAC of the service that both are of.
 * @throws PayloadNotSerializableError, MessageTooLargeError
 */
export async function eventMessage(
  session: SqlSession,
  { outbox, keys, subject }: EventDependencies,
  id: string,
  event: WireEvent,
): Promise<EncodedMessage> {
  const control = { [SAGA_ID_HEADER]: id, [SAGA_EVENT_HEADER]: event.type };
  const payload: EventPayload = { event };
  // First, because it refuses what has no JSON, which the MAC needs.
  const encoded = outbox.encodeControl({ topic: keys.replyTopic, key: id, control, payload, subject });
  return outbox.withControl(encoded, { ...control, [SAGA_MAC_HEADER]: await keys.event(session, id, event) });
}

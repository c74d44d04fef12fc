import type { SqlSession } from '@waybill/kernel';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import type { SagaEvent } from '../machine/saga-event.js';
import { SAGA_EVENT_HEADER, SAGA_ID_HEADER, SAGA_MAC_HEADER } from './saga-headers.js';
import type { SagaKeys } from './saga-keys.js';

/** Events that may reach a saga through the log, other than replies. Operators' orders never do. */
export type WireEvent = Extract<
  SagaEvent,
  { type: 'signal' | 'event' | 'child' | 'undo' | 'cancel' | 'turn' }
>;

/** The payload of a message to a saga other than a reply. */
export interface EventPayload {
  readonly event: WireEvent;
}

/** The dependencies of an event's message. */
export interface EventDependencies {
  readonly outbox: Outbox;
  readonly keys: SagaKeys;
  /** The subject of the saga's data; null without one. */
  readonly subject: string | null;
}

/**
 * The message that carries an event to a saga through the log, with the MAC of its service.
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
  // First, because it refuses values without a JSON form, which the MAC needs.
  const encoded = outbox.encodeControl({ topic: keys.replyTopic, key: id, control, payload, subject });
  return outbox.withControl(encoded, { ...control, [SAGA_MAC_HEADER]: await keys.event(session, id, event) });
}

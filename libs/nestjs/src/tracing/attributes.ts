import type { Delivery, AttemptOutcome } from '@waybill/consumer';
import { HandlerVerdict } from '@waybill/consumer';
import { REQUEST_ID_HEADER } from '@waybill/consumer/internal';
import { SAGA_ID_HEADER, type TransitionToTrace } from '@waybill/saga/internal';

/**
 * Attributes of a span. Names of OpenTelemetry's semantic conventions for messaging, and Waybill's own with the prefix
 * `messaging.waybill`.
 */
export type Attributes = Record<string, string | number>;

/** Attributes of every span about messages. */
export function operation(
  name: string,
  type: 'create' | 'send' | 'process' | 'settle',
  topic?: string,
): Attributes {
  return {
    'messaging.system': 'waybill',
    'messaging.operation.name': name,
    'messaging.operation.type': type,
    ...(topic === undefined ? {} : { 'messaging.destination.name': topic }),
  };
}

/** The saga or the request that a message belongs to. */
export function conversation(control: Readonly<Record<string, string>> | undefined): Attributes {
  const sagaId = control?.[SAGA_ID_HEADER];
  const id = sagaId ?? control?.[REQUEST_ID_HEADER];
  return {
    ...(id === undefined ? {} : { 'messaging.message.conversation_id': id }),
    ...(sagaId === undefined ? {} : { 'messaging.waybill.saga.id': sagaId }),
  };
}

/** The id of a message and its place in the log. */
export function delivered(
  group: string,
  { partition, offset, messageId, control }: Pick<Delivery, 'partition' | 'offset' | 'messageId' | 'control'>,
): Attributes {
  return {
    'messaging.destination.partition.id': String(partition),
    'messaging.consumer.group.name': group,
    'messaging.waybill.offset': offset,
    ...(messageId === null ? {} : { 'messaging.message.id': messageId }),
    ...conversation(control),
  };
}

/** What the messages of a batch have in common. */
export function deliveredTogether(group: string, partition: number, messages: number): Attributes {
  return {
    'messaging.destination.partition.id': String(partition),
    'messaging.consumer.group.name': group,
    'messaging.batch.message_count': messages,
  };
}

/** How a message was settled. */
export function settled({ attempts, delayMs, error }: AttemptOutcome): Attributes {
  const isFailure = error !== undefined && !(error instanceof HandlerVerdict);
  return {
    'messaging.waybill.delivery.attempt': attempts,
    ...(delayMs === undefined ? {} : { 'messaging.waybill.delay_ms': delayMs }),
    ...(isFailure ? { 'error.type': errorType(error) } : {}),
  };
}

/** The saga and the kind of its transition. */
export function transition({ id, type }: TransitionToTrace): Attributes {
  return {
    'messaging.system': 'waybill',
    'messaging.message.conversation_id': id,
    'messaging.waybill.saga.id': id,
    'messaging.waybill.saga.type': type,
  };
}

/** The class of the thrown error: error messages may hold confidential data. */
export function errorType(error: unknown): string {
  return error instanceof Error ? error.constructor.name : typeof error;
}

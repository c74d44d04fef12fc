import type { Delivery, Settlement } from '@waybill/consumer';
import { HandlerVerdict } from '@waybill/consumer';
import type { TransitionToTrace } from '@waybill/saga';

/** Attributes of a span. Names of OpenTelemetry's semantic conventions for messaging, and Waybill's own under `messaging.waybill`. */
export type Attributes = Record<string, string | number>;

const REQUEST_ID_HEADER = 'request-id';
const SAGA_ID_HEADER = 'saga-id';

/** What every span about messages says of itself. */
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
export function conversation(headers: Readonly<Record<string, string>> | undefined): Attributes {
  const sagaId = headers?.[SAGA_ID_HEADER];
  const id = sagaId ?? headers?.[REQUEST_ID_HEADER];
  return {
    ...(id === undefined ? {} : { 'messaging.message.conversation_id': id }),
    ...(sagaId === undefined ? {} : { 'messaging.waybill.saga.id': sagaId }),
  };
}

/** Where a message stands, and which it is. */
export function delivered(
  group: string,
  { partition, offset, messageId, headers }: Pick<Delivery, 'partition' | 'offset' | 'messageId' | 'headers'>,
): Attributes {
  return {
    'messaging.destination.partition.id': String(partition),
    'messaging.consumer.group.name': group,
    'messaging.waybill.offset': offset,
    ...(messageId === null ? {} : { 'messaging.message.id': messageId }),
    ...conversation(headers),
  };
}

/** How a message was settled. */
export function settled({ attempts, delayMs, error }: Settlement): Attributes {
  const isFailure = error !== undefined && !(error instanceof HandlerVerdict);
  return {
    'messaging.waybill.delivery.attempt': attempts,
    ...(delayMs === undefined ? {} : { 'messaging.waybill.delay_ms': delayMs }),
    ...(isFailure ? { 'error.type': errorType(error) } : {}),
  };
}

/** Which transition of which saga it is. */
export function transition({ id, type }: TransitionToTrace): Attributes {
  return {
    'messaging.system': 'waybill',
    'messaging.message.conversation_id': id,
    'messaging.waybill.saga.id': id,
    'messaging.waybill.saga.type': type,
  };
}

/** The class of what was thrown: messages of errors may hold what is nobody's business. */
export function errorType(error: unknown): string {
  return error instanceof Error ? error.constructor.name : typeof error;
}

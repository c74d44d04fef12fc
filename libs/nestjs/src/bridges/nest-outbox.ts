import { Injectable } from '@nestjs/common';
import type { ConsumerDeserializer, IncomingEvent } from '@nestjs/microservices';
import { isId } from '@waybill/kernel';
import { nameBasedId } from '@waybill/kernel/internal';
import { InjectWaybill } from '../injection/waybill-token.js';
import { Waybill } from '../instance/waybill.js';

/** A message of `@nestjs/outbox`, as its relay passes it to a transport. */
export interface NestOutboxMessage {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: unknown;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** The header with the time at which `@nestjs/outbox` stored the message, in ISO format. */
export const CREATED_AT_HEADER = 'created-at';

/**
 * A transport of `@nestjs/outbox` that publishes into Waybill's log: `transports: { waybill: WaybillOutboxTransport }`.
 * Id, key and headers are kept. A repeated call publishes the message again with the same id, so guards that use the
 * message id let it take effect once.
 */
@Injectable()
export class WaybillOutboxTransport {
  constructor(@InjectWaybill(Waybill) private readonly waybill: Waybill) {}

  /**
   * @throws MessageInvalidError, TopicUnknownError and Waybill's other errors
   * @throws the abort reason of `signal`, if it is aborted before the message is written
   */
  async publish(message: NestOutboxMessage, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { id, topic, key, headers, payload, createdAt } = message;
    const { database, outbox } = this.waybill;
    signal.throwIfAborted();
    await outbox.publishAlone(database, {
      // There, any string may be an id.
      id: isId(id) ? id : nameBasedId(`nest-outbox:${id}`),
      topic,
      key,
      headers: { ...headers, [CREATED_AT_HEADER]: new Date(createdAt).toISOString() },
      payload,
    });
  }
}

/**
 * Lets handlers receive the envelopes that `ClientProxyTransport` of `@nestjs/outbox` emits: they get the payload
 * inside. Anything that is not an envelope is passed on unchanged. For `server: { deserializer: new
 * NestOutboxDeserializer() }`.
 */
export class NestOutboxDeserializer implements ConsumerDeserializer {
  deserialize(value: unknown, options: { readonly channel?: string } = {}): IncomingEvent {
    return { pattern: options.channel, data: isEnvelope(value) ? value.payload : value };
  }
}

function isEnvelope(value: unknown): value is NestOutboxMessage {
  if (typeof value !== 'object' || value === null) return false;
  const envelope = value as Partial<NestOutboxMessage>;
  return (
    typeof envelope.id === 'string' &&
    typeof envelope.topic === 'string' &&
    typeof envelope.createdAt === 'number' &&
    'payload' in envelope
  );
}

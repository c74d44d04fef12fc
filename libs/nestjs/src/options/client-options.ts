import type { ProducerDeserializer, ProducerSerializer } from '@nestjs/microservices';
import { type Given, wholeNumber } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';

/** Names, defaults and ranges of a client's options. */
export const CLIENT_SPECS = {
  /** How long to wait for a reply, in milliseconds. */
  timeoutMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Whether `emit` is refused when there is no transaction to join; otherwise it publishes in its own transaction. */
  requireTransaction: flag(true),
};

/** Options of a {@link WaybillClient}. */
export type WaybillClientOptions = Given<typeof CLIENT_SPECS> & {
  /** Turns a packet into the payload, which the topic's codec turns into bytes. Default: the packet's data. */
  readonly serializer?: ProducerSerializer;
  /** Turns the payload of a reply into a packet. Default: the payload is the response. */
  readonly deserializer?: ProducerDeserializer;
};

import type { ProducerDeserializer, ProducerSerializer } from '@nestjs/microservices';
import { type Given, wholeNumber } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';

/** Names, defaults and ranges of a client's options. */
export const CLIENT_SPECS = {
  /** How long an answer is waited for, in milliseconds. */
  timeoutMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Whether `emit` is refused where there is no transaction to join; else it publishes in one of its own. */
  requireTransaction: flag(true),
};

/** Options of a {@link WaybillClient}. */
export type WaybillClientOptions = Given<typeof CLIENT_SPECS> & {
  /** Turns a packet into the payload, which the topic's codec turns into bytes. Default: the packet's data. */
  readonly serializer?: ProducerSerializer;
  /** Turns the payload of an answer into a packet. Default: the payload is the response. */
  readonly deserializer?: ProducerDeserializer;
};

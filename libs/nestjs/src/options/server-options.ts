import type { ConsumerDeserializer, ConsumerSerializer } from '@nestjs/microservices';
import { type Given, wholeNumber } from '@waybill/kernel';

/** Names, defaults and ranges of a server's options. */
export const SERVER_SPECS = {
  /** Maximum number of values of a handler's stream that a request is answered with. */
  streamMaxValues: wholeNumber({ default: 1_000, min: 1, max: 100_000 }),
};

/** Options of a {@link WaybillServer}. */
export type WaybillServerOptions = Given<typeof SERVER_SPECS> & {
  /** Turns the packet of a reply into its payload, which the topic's codec turns into bytes. Default: the response. */
  readonly serializer?: ConsumerSerializer;
  /** Turns a message's payload into a packet whose data the handler gets. Default: the payload. */
  readonly deserializer?: ConsumerDeserializer;
};

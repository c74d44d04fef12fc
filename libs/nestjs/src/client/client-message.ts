import { isPlainObject } from '@waybill/kernel/internal';
import type { OutgoingEvent, OutgoingRequest, ProducerSerializer, ReadPacket } from '@nestjs/microservices';
import type { Message } from '@waybill/outbox';
import { WaybillRecord, type WaybillRecordOptions } from './waybill-record.js';

/**
 * Converts a client's packet to a message. A serializer turns the packet into the payload or into a {@link
 * WaybillRecord}; the caller's key and headers are kept unless the serializer sets its own. The packet's metadata
 * become headers; the caller's headers take precedence.
 */
export async function clientMessage(
  topic: string,
  packet: ReadPacket & { readonly id?: string },
  serializer: ProducerSerializer | undefined,
): Promise<Message> {
  const given = recordOf(packet.data);
  const { metadata } = packet;
  let payload: unknown = given.payload ?? null;
  let options: WaybillRecordOptions = given.options;
  if (serializer !== undefined) {
    const outgoing = { ...packet, data: given.payload } as OutgoingEvent | OutgoingRequest;
    const made = recordOf(await serializer.serialize(outgoing, { topic }));
    payload = made.payload ?? null;
    const headers = joined(options.headers, made.options.headers);
    options = { ...options, ...made.options, ...(headers === undefined ? {} : { headers }) };
  }
  const { timeoutMs: _, ...said } = options;
  const headers = joined(metadata as Headers | undefined, said.headers);
  return { ...said, ...(headers === undefined ? {} : { headers }), topic, payload };
}

type Headers = Readonly<Record<string, string>>;

/** Merges both; the later ones take precedence. Invalid headers are passed on unchanged: publishing refuses them. */
function joined(earlier: Headers | undefined, later: Headers | undefined): Headers | undefined {
  for (const given of [later, earlier])
    if (given !== undefined && given !== null && !isPlainObject(given)) return given;
  return later === null ? later : { ...earlier, ...later };
}

function recordOf(data: unknown): WaybillRecord {
  return data instanceof WaybillRecord ? data : new WaybillRecord(data);
}

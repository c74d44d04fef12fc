import { isPlainObject } from '@waybill/kernel/internal';
import type { OutgoingEvent, OutgoingRequest, ProducerSerializer, ReadPacket } from '@nestjs/microservices';
import type { Message } from '@waybill/outbox';
import { WaybillRecord, type WaybillRecordOptions } from './waybill-record.js';

/**
 * The message that a client's packet stands for. A serializer turns the packet into the payload, or into a
 * {@link WaybillRecord}; what the caller said of key and headers stays unless the serializer says otherwise. The packet's
 * metadata become headers; headers of the caller come before them.
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

/** Both, the later ones first. What are no headers are passed on as they are: publishing refuses them. */
function joined(earlier: Headers | undefined, later: Headers | undefined): Headers | undefined {
  for (const given of [later, earlier])
    if (given !== undefined && given !== null && !isPlainObject(given)) return given;
  return later === null ? later : { ...earlier, ...later };
}

function recordOf(data: unknown): WaybillRecord {
  return data instanceof WaybillRecord ? data : new WaybillRecord(data);
}

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
    options = { ...options, ...made.options, headers: { ...options.headers, ...made.options.headers } };
  }
  const { timeoutMs: _, ...said } = options;
  return { ...said, headers: { ...metadata, ...said.headers }, topic, payload };
}

function recordOf(data: unknown): WaybillRecord {
  return data instanceof WaybillRecord ? data : new WaybillRecord(data);
}

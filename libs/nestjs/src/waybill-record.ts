import type { Message } from '@waybill/outbox';

/** What may be said of a message beside its payload. */
export type WaybillRecordOptions = Omit<Message, 'topic' | 'payload'>;

/**
 * A payload with what else is said of its message, for `client.emit` and `client.send`:
 * `client.emit('orders.placed', new WaybillRecord(order, { key: order.id }))`.
 */
export class WaybillRecord<T = unknown> {
  constructor(
    readonly payload: T,
    /** Key, headers, partition, id and times, as of any message. */
    readonly options: WaybillRecordOptions = {},
  ) {}
}

/** The message that a client's pattern and data stand for. */
export function messageOf(topic: string, data: unknown): Message {
  return data instanceof WaybillRecord
    ? { ...data.options, topic, payload: data.payload as unknown }
    : { topic, payload: data ?? null };
}

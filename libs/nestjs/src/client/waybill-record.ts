import type { Message } from '@waybill/outbox';

/** Options of a message in addition to its payload. */
export type WaybillRecordOptions = Omit<Message, 'topic' | 'payload'> & {
  /** For `client.send`: how long to wait for the reply, in milliseconds. Default: the client's. */
  readonly timeoutMs?: number;
};

/**
 * A payload with options of its message, for `client.emit` and `client.send`:
 * `client.emit('orders.placed', new WaybillRecord(order, { key: order.id }))`.
 */
export class WaybillRecord<T = unknown> {
  constructor(
    readonly payload: T,
    /** Key, headers, partition, id and times, as of any message; for a request also its time-out. */
    readonly options: WaybillRecordOptions = {},
  ) {}
}

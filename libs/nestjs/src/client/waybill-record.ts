import type { Message } from '@waybill/outbox';

/** What may be said of a message beside its payload. */
export type WaybillRecordOptions = Omit<Message, 'topic' | 'payload'> & {
  /** For `client.send`: how long the answer is waited for, in milliseconds. Default: the client's. */
  readonly timeoutMs?: number;
};

/**
 * A payload with what else is said of its message, for `client.emit` and `client.send`:
 * `client.emit('orders.placed', new WaybillRecord(order, { key: order.id }))`.
 */
export class WaybillRecord<T = unknown> {
  constructor(
    readonly payload: T,
    /** Key, headers, partition, id and times, as of any message; of a request also its time-out. */
    readonly options: WaybillRecordOptions = {},
  ) {}
}

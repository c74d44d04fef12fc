import type { Delivery } from '@waybill/consumer';
import { BaseRpcContext } from '@nestjs/microservices';
import type { PgTransactionHandle } from '@waybill/kernel';
import type { SagaLocks } from '@waybill/saga';
import type { HandlerGuards } from '../guards/handler-guards.js';
import { type SagaContext, sagaContextOf } from '../sagas/saga-context.js';

/**
 * What `@Ctx()` gives a handler: the current delivery. A batch handler finds its messages in `deliveries`; everything else that
 * differs among them is that of the first.
 *
 * @typeParam Transaction type of the transaction's handle; `Prisma.TransactionClient` with Prisma
 */
export class WaybillContext<Transaction = PgTransactionHandle> extends BaseRpcContext<[Delivery]> {
  readonly #deliveries: Delivery[];

  /**
   * @param deliveries one, or those of a batch
   * @param guards the instance's guards, for handlers with `@Idempotent`
   * @param locks the instance's locks, for handlers of saga commands
   */
  constructor(
    deliveries: readonly [Delivery, ...Delivery[]],
    /** @internal */
    readonly guards?: HandlerGuards,
    private readonly locks?: SagaLocks,
  ) {
    super([deliveries[0]]);
    this.#deliveries = [...deliveries];
  }

  /** The messages of a batch handler's call, in the order of the payloads; otherwise the one message. */
  get deliveries(): readonly Delivery[] {
    return this.#deliveries;
  }

  /** Of each message of the batch. @internal */
  get singles(): WaybillContext<Transaction>[] {
    return this.#deliveries.map((delivery) => new WaybillContext([delivery], this.guards, this.locks));
  }

  /** Leaves only these messages of the batch. @internal */
  keepOnly(indexes: readonly number[]): void {
    const kept = indexes.flatMap((index) => this.#deliveries[index] ?? []);
    this.#deliveries.splice(0, Infinity, ...kept);
  }

  private get delivery(): Delivery {
    return this.#deliveries[0] ?? this.args[0];
  }

  /**
   * The open transaction of this delivery. What is written and published through it takes effect exactly once; anything
   * else a handler does may be repeated.
   */
  get transaction(): Transaction {
    return this.delivery.transaction as Transaction;
  }

  get topic(): string {
    return this.delivery.topic;
  }

  get partition(): number {
    return this.delivery.partition;
  }

  get offset(): number {
    return this.delivery.offset;
  }

  get key(): string | null {
    return this.delivery.key;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.delivery.headers;
  }

  /** Waybill's own headers (`waybill-…`), which users cannot set: they identify the request or command. */
  get control(): Readonly<Record<string, string>> {
    return this.delivery.control;
  }

  /** The payload after the handler's pipes. */
  get payload(): unknown {
    return this.delivery.payload;
  }

  /** Same as `headers`, under the name that Nest's own transports use for the metadata of a packet. */
  getMetadata(): Readonly<Record<string, string>> {
    return this.headers;
  }

  /** Same as `topic`, under the name that Nest's own transports use. */
  getPattern(): string {
    return this.topic;
  }

  /** Whether the message is a dead letter that an operator has redriven. */
  get isRedriven(): boolean {
    return this.delivery.isRedriven;
  }

  /** The message's id; null if its producer gave none. */
  get messageId(): string | null {
    return this.delivery.messageId;
  }

  /** The subject of the message's data, if its publisher named one. */
  get subject(): string | null {
    return this.delivery.subject;
  }

  /** When the message was published. */
  get timestamp(): Date {
    return this.delivery.timestamp;
  }

  /** Number of this delivery of the message, from 1. */
  get attempt(): number {
    return this.delivery.attempt;
  }

  /** The saga whose command this is; undefined for every other message. */
  get saga(): SagaContext | undefined {
    return this.locks && sagaContextOf(this.delivery, this.locks);
  }

  /** Aborts when the delivery can no longer be committed, or when the requester cancels. */
  get signal(): AbortSignal {
    return this.delivery.signal;
  }
}

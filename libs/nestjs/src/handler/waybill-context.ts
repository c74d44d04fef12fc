import type { Delivery } from '@waybill/consumer';
import { BaseRpcContext } from '@nestjs/microservices';
import type { PgTransactionHandle } from '@waybill/kernel';
import type { SagaLocks } from '@waybill/saga';
import type { HandlerGuards } from '../guards/handler-guards.js';
import { type SagaContext, sagaContextOf } from '../sagas/saga-context.js';

/**
 * What `@Ctx()` gives a handler: the delivery under way.
 *
 * @typeParam Transaction type of the transaction's handle; `Prisma.TransactionClient` with Prisma
 */
export class WaybillContext<Transaction = PgTransactionHandle> extends BaseRpcContext<[Delivery]> {
  /**
   * @param guards of the instance, for handlers with `@Idempotent`
   * @param locks of the instance, for handlers of sagas' commands
   */
  constructor(
    delivery: Delivery,
    /** @internal */
    readonly guards?: HandlerGuards,
    private readonly locks?: SagaLocks,
  ) {
    super([delivery]);
  }

  private get delivery(): Delivery {
    return this.args[0];
  }

  /**
   * The open transaction of this delivery. What is written through it, and published with it, takes effect exactly
   * once; anything else a handler does may be repeated.
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

  /** Headers of Waybill's own (`waybill-…`), which no user can write: whose request or command the message is. */
  get control(): Readonly<Record<string, string>> {
    return this.delivery.control;
  }

  /** The payload as the handler's pipes got it. */
  get payload(): unknown {
    return this.delivery.payload;
  }

  /** The headers once more, under the name that Nest's own transports have for what their clients attach to a packet. */
  getMetadata(): Readonly<Record<string, string>> {
    return this.headers;
  }

  /** The topic once more, as Nest's own transports name it. */
  getPattern(): string {
    return this.topic;
  }

  /** Whether an operator has redriven the message, as a dead letter. */
  get isRedriven(): boolean {
    return this.delivery.isRedriven;
  }

  /** The message's id; null for records of producers that give none. */
  get messageId(): string | null {
    return this.delivery.messageId;
  }

  /** Whose data the message holds, where its publisher said so. */
  get subject(): string | null {
    return this.delivery.subject;
  }

  /** When the message was published. */
  get timestamp(): Date {
    return this.delivery.timestamp;
  }

  /** Counts the hand-overs of this message, from 1. */
  get attempt(): number {
    return this.delivery.attempt;
  }

  /** The saga whose command this is; undefined for every other message. */
  get saga(): SagaContext | undefined {
    return this.locks && sagaContextOf(this.delivery, this.locks);
  }

  /** Aborts when the delivery cannot be committed any more, and when the asker of a request gives up. */
  get signal(): AbortSignal {
    return this.delivery.signal;
  }
}

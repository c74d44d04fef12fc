import { retryIn } from '@waybill/consumer';
import { type MessageIdGuard, LeaseGuard, type LeaseGuardOptions, type LeaseStore } from '@waybill/guard';
import { type LeaseGuardDependencies } from '@waybill/guard/internal';
import { EffectInProgressError, isWaybillError, MessageIdInvalidError } from '@waybill/kernel';

/**
 * How long a handler waits for another delivery of the same message, in milliseconds, before it releases its permit.
 */
const WAIT_MS = 500;
/** The delay, in milliseconds, until the message is delivered again. */
const AGAIN_MS = 1_000;

/** What a guard knows of the current delivery. */
export interface GuardedContext {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly subject: string | null;
  readonly timestamp: Date;
  /** The open transaction of the delivery. */
  readonly transaction: unknown;
}

/** A delivery that reaches its handler's guard. */
export interface GuardedDelivery {
  readonly guard: 'message-id' | 'lease';
  /** Of the handler. */
  readonly name: string;
  readonly messageId: string | null | undefined;
  readonly context: GuardedContext;
}

/** What {@link HandlerGuards} work with. */
export interface HandlerGuardsDependencies {
  readonly messageIdGuard: MessageIdGuard;
  readonly store: LeaseStore;
  readonly leaseOptions: LeaseGuardOptions;
  /** The instance's scope; a prefix of every name. */
  readonly group: string;
  /** The logger and cipher of its lease guard. */
  readonly guard: LeaseGuardDependencies;
}

/** The guards of handlers that recognise messages by id. */
export class HandlerGuards {
  readonly #leases: LeaseGuard;

  /** @throws ConfigurationError */
  constructor(private readonly dependencies: HandlerGuardsDependencies) {
    const { store, leaseOptions, guard } = dependencies;
    // A waiting handler holds a connection and a permit: it waits briefly and is retried later.
    this.#leases = new LeaseGuard(store, { ...leaseOptions, onConflict: 'wait', waitMs: WAIT_MS }, guard);
  }

  /**
   * Runs a handler under its guard.
   * @returns what the handler returned, now or when it first ran
   * @throws a verdict `retryIn` when another process handles the message or its state is unknown: no attempt is counted
   * @throws IdOutsideWindowError, MessageIdInvalidError: a dead letter at once; what the handler throws
   */
  async once(
    { guard, name, messageId, context }: GuardedDelivery,
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    const consumer = `${this.dependencies.group}/${context.topic}/${name}`;
    if (messageId === null || messageId === undefined || messageId === '')
      throw new MessageIdInvalidError(
        consumer,
        `${context.topic}[${context.partition}]@${context.offset} has no id`,
      );
    const { subject } = context;
    try {
      if (guard === 'lease')
        return (await this.#leases.once({ scope: consumer, id: messageId, subject }, work)).result;
      const receivedAt = context.timestamp;
      const { result } = await this.dependencies.messageIdGuard.once(
        context.transaction,
        consumer,
        messageId,
        work,
        {
          receivedAt,
          subject,
        },
      );
      return result;
    } catch (error) {
      if (error instanceof EffectInProgressError || isAway(error)) throw retryIn(AGAIN_MS);
      throw error;
    }
  }
}

function isAway(error: unknown): boolean {
  return isWaybillError(error) && error.code === 'LEASE_STORE_UNAVAILABLE';
}

import { retryIn } from '@waybill/consumer';
import { type MessageIdGuard, LeaseGuard, type LeaseGuardOptions, type LeaseStore } from '@waybill/guard';
import { type LeaseGuardDependencies } from '@waybill/guard/internal';
import { EffectInProgressError, isWaybillError, MessageIdInvalidError } from '@waybill/kernel';

/** A handler waits so long for the same message elsewhere, in milliseconds; then it gives its place to others. */
const WAIT_MS = 500;
/** And is handed the message again after so many milliseconds. */
const AGAIN_MS = 1_000;

/** What a guard knows of the delivery under way. */
export interface GuardedContext {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly subject: string | null;
  readonly timestamp: Date;
  /** The open transaction of the delivery. */
  readonly transaction: unknown;
}

/** A delivery that comes to the guard of its handler. */
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
  /** Of the instance; stands in front of every name. */
  readonly group: string;
  /** What its lease guard logs to, and encrypts with. */
  readonly guard: LeaseGuardDependencies;
}

/** The guards of handlers that know a message by its id. */
export class HandlerGuards {
  readonly #leases: LeaseGuard;

  /** @throws ConfigurationError */
  constructor(private readonly dependencies: HandlerGuardsDependencies) {
    const { store, leaseOptions, guard } = dependencies;
    // A handler that waits holds a connection and a place: it waits briefly, and comes again.
    this.#leases = new LeaseGuard(store, { ...leaseOptions, onConflict: 'wait', waitMs: WAIT_MS }, guard);
  }

  /**
   * Runs a handler under its guard.
   * @returns what it returned, now or when it ran
   * @throws a verdict `retryIn` where another is at the message, or nobody can say: no attempt is counted
   * @throws IdOutsideWindowError, MessageIdInvalidError: a dead letter at once; whatever the handler throws
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

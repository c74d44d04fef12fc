import {
  BackgroundService,
  describeError,
  HandlerAbandonedError,
  isInfrastructureFailure,
  type IdlePace,
  type Logger,
  type OpenTransaction,
  type PassResult,
  SubjectErasedError,
  type TransactionRunner,
  type PgTransactionHandle,
} from '@waybill/kernel';
import { postponeEvent } from '../statements.generated.js';
import type { ExpiredEvent } from '../engine/event-waits.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import { eventMessage } from '../message/saga-messages.js';

/** What is known of an event without a saga, apart from its content. */
export interface UnclaimedEvent<Transaction = PgTransactionHandle> {
  readonly topic: string;
  /** Which steps could have waited for it: `type/step@topic`. */
  readonly waiter: string;
  /** The value that identifies its saga. */
  readonly match: string;
  readonly arrivedAt: Date;
  /** The transaction that removes the event: what the handler writes in it takes effect exactly once. */
  readonly transaction: Transaction;
}

/** Handles an event that no saga waited for in time. */
export type UnclaimedHandler = (event: never, about: UnclaimedEvent<never>) => unknown;

/** What {@link UnclaimedEvents} work with. */
export interface UnclaimedEventsDependencies {
  readonly engine: SagaEngine;
  /** By topic. */
  readonly handlers: ReadonlyMap<string, UnclaimedHandler>;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** Time limit of a handler, in milliseconds. */
  readonly transitionMs: number;
  /** The polls. */
  readonly pace: IdlePace;
  readonly idleMinMs: number;
}

/** Attempts of a handler before its event is stored for operators; the wait grows from the first to the last. */
const TRIES = 8;
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 600_000;

/**
 * Removes the events that no saga waited for in time and passes them to the handler of their topic, or stores them for operators.
 * Also resumes steps that could not see their event when they began to wait.
 */
export class UnclaimedEvents {
  readonly service: BackgroundService;

  constructor(private readonly dependencies: UnclaimedEventsDependencies) {
    const { pace, idleMinMs, logger } = dependencies;
    this.service = new BackgroundService({
      name: 'events without a saga',
      runOnce: () => this.#next(),
      idleMinMs,
      idleMaxMs: pace,
      logger,
    });
  }

  async #next(): Promise<PassResult> {
    const { engine, transactions, transitionMs } = this.dependencies;
    let current: ExpiredEvent | undefined;
    try {
      return await transactions.run({
        work: async (transaction) => {
          if (await this.#lookAgain(transaction)) return 'again';
          current = await engine.waits.expired(transaction.session);
          if (current === undefined) return 'idle';
          await this.#part(transaction, current);
          return 'again';
        },
        timeoutMs: transitionMs,
      });
    } catch (error) {
      const isOfHandler = error instanceof HandlerAbandonedError || !isInfrastructureFailure(error);
      if (current === undefined || !isOfHandler) throw error;
      await this.#postpone(current, error);
      return 'again';
    }
  }

  /** @returns whether there was such a step */
  async #lookAgain({ session }: OpenTransaction<unknown>): Promise<boolean> {
    const { engine } = this.dependencies;
    const seen = await engine.waits.lookAgain(session);
    if (seen?.kept === undefined) return seen !== undefined;
    const { sagaId, step, kept } = seen;
    const dependencies = { outbox: engine.outbox, keys: engine.keys, subject: kept.subject };
    const event = { type: 'event', step, payload: kept.payload } as const;
    await engine.outbox.publishEncoded(session, [await eventMessage(session, dependencies, sagaId, event)]);
    return true;
  }

  async #part(transaction: OpenTransaction<unknown>, event: ExpiredEvent): Promise<void> {
    const { topic, waiter, match, arrivedAt, failures } = event;
    const { session, handle } = transaction;
    const kept = await event.open().catch((error: unknown) => {
      if (!(error instanceof SubjectErasedError)) throw error;
    });
    // Its subject was erased: nothing is left of it.
    if (kept === undefined) return;
    const handler = this.dependencies.handlers.get(topic);
    if (handler !== undefined && failures < TRIES) {
      await handler(kept.payload as never, { topic, waiter, match, arrivedAt, transaction: handle as never });
      return;
    }
    const why =
      handler === undefined
        ? `no saga waited for it as ${waiter} with ${match}`
        : `no saga waited for it as ${waiter} with ${match}, and its handler failed ${failures} times`;
    const ignored = { sagaId: null, kind: 'event', name: topic, payload: kept.payload, why };
    await this.dependencies.engine.ignored.keep(session, ignored, kept.subject ?? undefined);
  }

  /** It must not block the events after it. */
  async #postpone({ id, topic, match, failures }: ExpiredEvent, error: unknown): Promise<void> {
    const { logger, transactions } = this.dependencies;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** failures, LAST_WAIT_MS);
    logger.error(
      `the event of ${topic} with ${match} has no saga, and its handler failed: ${describeError(error)}. It will be retried in ${waitMs} ms`,
    );
    await transactions.session.run(postponeEvent, id, waitMs);
  }
}

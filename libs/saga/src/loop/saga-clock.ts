import {
  BackgroundService,
  describeError,
  HandlerAbandonedError,
  isInfrastructureFailure,
  type IdlePace,
  type Logger,
  type PassResult,
  SubjectErasedError,
  type TransactionRunner,
} from '@waybill/kernel';
import { SagaDefinitionChangedError, SagaVersionUnknownError } from '../errors/saga-errors.js';
import { nextSagaWake, postponeSaga, wakeSaga } from '../statements.generated.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import { lockDueSaga, wakeMs } from '../engine/saga-store.js';

/** What a {@link SagaClock} works with. */
export interface SagaClockDependencies {
  readonly engine: SagaEngine;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** Time limit of a transition, in milliseconds. */
  readonly transitionMs: number;
  /** The polls. */
  readonly pace: IdlePace;
  readonly idleMinMs: number;
  /** Sagas that run at a time. */
  readonly concurrency: number;
}

/** Wait of a saga whose transition failed, in milliseconds. */
const POSTPONE_MS = 5_000;
/** Wait of a saga whose definition another process, or another release, may have, in milliseconds. */
const OTHER_DEFINITION_MS = 30_000;
/** Wait of a saga whose subject was erased: it cannot continue. In milliseconds. */
const ERASED_MS = 86_400_000;

/** Runs sagas for which something is due, several at a time: a slow one does not delay the others. */
export class SagaClock {
  readonly service: BackgroundService;
  readonly #underWay = new Set<Promise<void>>();
  #toldMs = -Infinity;

  constructor(private readonly dependencies: SagaClockDependencies) {
    const { pace, idleMinMs, logger } = dependencies;
    this.service = new BackgroundService({
      name: 'the clock of sagas',
      runOnce: (signal) => this.#look(signal),
      idleMinMs,
      idleMaxMs: pace,
      logger,
    });
  }

  /** Stops when the transitions in progress have ended. */
  async stop(): Promise<void> {
    await this.service.stop();
    await Promise.all(this.#underWay);
  }

  /** Claims what is due while there is capacity. */
  async #look(signal: AbortSignal): Promise<PassResult> {
    const { engine, transactions, pace, concurrency } = this.dependencies;
    while (!signal.aborted && this.#underWay.size < concurrency) if (!(await this.#claim())) break;
    if (this.#underWay.size >= concurrency) return 'idle';
    const [next] = await transactions.session.run(nextSagaWake, engine.replyTopic);
    if (next !== undefined && next.inMs < pace.restMs) {
      const ring = setTimeout(() => this.service.bell.ring(), Math.max(1, next.inMs));
      ring.unref();
    }
    return 'idle';
  }

  /** @returns whether there is one, as soon as that is known; its transition continues */
  #claim(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const work = this.#carry(resolve).then(
        (isCarried) => {
          this.#underWay.delete(work);
          // There is capacity again, and more may be due.
          if (isCarried && this.service.running) this.service.bell.ring();
        },
        (error: unknown) => {
          this.#underWay.delete(work);
          // The current poll fails with it; when that is over, the next one tries the saga again.
          reject(error);
        },
      );
      this.#underWay.add(work);
    });
  }

  /** @returns whether there was one, so that another poll may find more */
  async #carry(claimed: (isThere: boolean) => void): Promise<boolean> {
    const { transactions, engine, transitionMs, logger } = this.dependencies;
    let current: string | undefined;
    try {
      return await transactions.run({
        work: async (transaction) => {
          const onClaimed = (id: string): void => {
            current = id;
            claimed(true);
          };
          const { contents, replyTopic } = engine;
          const stored = await lockDueSaga(transaction.session, contents, replyTopic, onClaimed);
          if (stored === undefined) {
            claimed(false);
            return false;
          }
          const { applied } = await engine.carry(transaction, stored, { type: 'due' });
          if (!applied) await transaction.session.run(wakeSaga, stored.instance.id, wakeMs(stored.instance));
          return true;
        },
        timeoutMs: transitionMs,
      });
    } catch (error) {
      if (current === undefined || isInfrastructureFailure(error)) {
        if (current !== undefined) logger.warn(`saga ${current} will be retried: ${describeError(error)}`);
        throw error;
      }
      // A local action that took too long is recorded now and counts at the next poll.
      if (error instanceof HandlerAbandonedError) return true;
      if (error instanceof SagaVersionUnknownError || error instanceof SagaDefinitionChangedError) {
        this.#tellOfDefinition(current, error);
        await transactions.session.run(postponeSaga, current, OTHER_DEFINITION_MS);
        return true;
      }
      // It must not block the sagas after it.
      logger.error(`saga ${current} could not continue: ${describeError(error)}`);
      const isErased = error instanceof SubjectErasedError;
      await transactions.session.run(postponeSaga, current, isErased ? ERASED_MS : POSTPONE_MS);
      return true;
    }
  }

  /** Once a minute: there may be thousands of them. */
  #tellOfDefinition(id: string, error: Error): void {
    const now = performance.now();
    if (now - this.#toldMs < 60_000) return;
    this.#toldMs = now;
    this.dependencies.logger.error(
      `saga ${id}, and perhaps others, cannot continue in this process: ${error.message}`,
    );
  }
}

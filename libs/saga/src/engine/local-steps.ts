import { performance } from 'node:perf_hooks';
import { describeError, HandlerAbandonedError, type OpenTransaction } from '@waybill/kernel';
import { describeThrown, isPlainObject, savepointOf } from '@waybill/kernel/internal';
import type {
  FinalError,
  LocalAction,
  SagaDefinition,
  SagaEnd,
  StepDefinition,
} from '../definition/saga-definition.js';
import { jsonOf } from '../machine/saga-data.js';
import type { SagaEvent } from '../machine/saga-event.js';
import { type SagaInstance } from '../machine/saga-instance.js';
import { END_STEP } from '../definition/names.js';
import { SagaRejectedError } from '../machine/saga-rejected-error.js';

const savepoint = savepointOf('saga');
/** How many attempts that cost their transaction are remembered until the saga knows of them. */
const MAX_LOST = 10_000;

/** A local action to run. */
export interface LocalRun {
  readonly definition: SagaDefinition;
  readonly step: StepDefinition;
  readonly instance: SagaInstance;
  readonly undo: boolean;
  readonly attempt: number;
  readonly transaction: OpenTransaction<unknown>;
  /** Deadline of its transition, by the monotonic clock, in milliseconds. */
  readonly until: number;
}

/** A local action resolved to a value that saga data cannot hold. */
class UnusableResultError extends TypeError {
  override readonly name = 'UnusableResultError';
}

type LocalEvent = Extract<SagaEvent, { type: 'local' }>;
type LocalEnd = Omit<LocalEvent, 'type' | 'step' | 'undo' | 'attempt'>;

/**
 * Runs local actions, each under a savepoint: a failure is rolled back and is the step's failure, and the transition continues.
 * One that does not end in time costs the whole transaction, because one of its statements may still be running. The transition is
 * then repeated without it: the action has failed.
 */
export class LocalSteps {
  readonly #lost = new Map<string, string>();

  async run(local: LocalRun): Promise<LocalEvent> {
    const { step, instance, undo, attempt } = local;
    const event = { type: 'local', step: step.name, undo, attempt } as const;
    const name = `${instance.id}/${step.name}/${undo}/${attempt}`;
    const lost = this.#lost.get(name);
    if (lost !== undefined) return { ...event, status: 'failed', error: lost };
    return { ...event, ...(await this.#attempt(local, name)) };
  }

  async #attempt(local: LocalRun, name: string): Promise<LocalEnd> {
    const { session } = local.transaction;
    const action = actionOf(local);
    await session.run(savepoint.set);
    let payload: unknown;
    try {
      payload = await this.#inTime(local, action, name);
      // Even when it swallowed the error of a statement, after which nothing could be committed.
      await session.run(savepoint.release);
    } catch (error) {
      if (error instanceof HandlerAbandonedError) throw error;
      await this.#goBack(local, error);
      if (error instanceof SagaRejectedError) return { status: 'rejected', error: error.reason };
      if (error instanceof UnusableResultError) return { status: 'unusable', error: error.message };
      const final = action.policy.nonRetryable.some((kind) => isOf(error, kind));
      return { status: 'failed', error: describeError(error), ...(final && { final }) };
    }
    return { status: 'done', ...(payload !== undefined && { payload }) };
  }

  /** @returns its result, in a form that saga data can hold */
  async #inTime(local: LocalRun, action: LocalAction, name: string): Promise<unknown> {
    const { instance, transaction, until } = local;
    const ms = Math.max(1, Math.min(action.policy.timeoutMs, until - performance.now()));
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#remember(name, `it did not end within ${Math.round(ms)} ms`);
        reject(new HandlerAbandonedError(Math.round(ms)));
      }, ms);
    });
    const context = { transaction: transaction.handle, sagaId: instance.id, reason: instance.cause };
    // Not earlier: what it throws synchronously is its failure, too.
    const work = Promise.resolve().then(() => action.run(instance.data, context));
    work.catch(() => {});
    try {
      const result: unknown = await Promise.race([work, limit]);
      return result === undefined || local.undo ? undefined : resultOf(result, local);
    } finally {
      clearTimeout(timer);
    }
  }

  /** When that fails, the connection is gone: the failure is the transaction's, not the step's. */
  async #goBack({ transaction: { session } }: LocalRun, failure: unknown): Promise<void> {
    try {
      await session.run(savepoint.goBack);
      await session.run(savepoint.release);
    } catch {
      throw failure;
    }
  }

  #remember(name: string, why: string): void {
    const [oldest] = this.#lost.keys();
    if (this.#lost.size >= MAX_LOST && oldest !== undefined) this.#lost.delete(oldest);
    this.#lost.set(name, why);
  }
}

function actionOf({ definition, step, instance, undo }: LocalRun): LocalAction {
  const { onEnd } = definition;
  if (step.name === END_STEP && onEnd !== undefined) {
    const end = endOf(instance);
    return {
      kind: 'local',
      run: (_, { transaction }) => onEnd.run(end, transaction),
      policy: onEnd.policy,
    };
  }
  const action = undo ? step.undo : step.forward;
  if (action?.kind !== 'local') throw new RangeError(`step ${step.name} has no such action`);
  return action;
}

/** The end of a saga, while `onEnd` runs. */
function endOf({ id: sagaId, key, direction, cancelled, data, cause: reason }: SagaInstance): SagaEnd {
  const state = direction === 'forward' ? 'COMPLETED' : cancelled ? 'CANCELLED' : 'COMPENSATED';
  return { sagaId, key, state, data, reason };
}

/** @throws TypeError for what the data cannot hold: the action is then rolled back */
function resultOf(result: unknown, { step }: LocalRun): unknown {
  if (step.lane === undefined && result !== null && !isPlainObject(result))
    throw new UnusableResultError('it must resolve to a plain object');
  try {
    return jsonOf(result, 'result', 'ourselves');
  } catch (error) {
    throw new UnusableResultError(describeError(error));
  }
}

function isOf(error: unknown, kind: FinalError): boolean {
  if (typeof kind === 'function') return error instanceof kind;
  const { name, code } = describeThrown(error);
  return name === kind || code === kind;
}

import {
  describeError,
  isInfrastructureFailure,
  type Logger,
  type SqlSession,
  type TransactionRunner,
} from '@waybill/kernel';
import { SagaVersionUnknownError } from '../errors/saga-errors.js';
import type { SagaContents } from '../engine/saga-contents.js';
import type { SagaData } from '../definition/saga-definition.js';
import type { OperatorOrder } from '../engine/operator-order.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import type { OrderEvent } from '../machine/saga-event.js';
import { claimSagaOrder, endSagaOrder } from '../statements.generated.js';

/** What {@link SagaOrders} work with. */
export interface SagaOrdersDependencies {
  readonly engine: SagaEngine;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** Time limit of a transition, in milliseconds. */
  readonly transitionMs: number;
}

/** Carries out operators' orders, which they insert through a function that records their login. */
export class SagaOrders {
  constructor(private readonly dependencies: SagaOrdersDependencies) {}

  /** Carries out every waiting order. One for a version that this process does not know is left to another process. */
  async carryOut(signal: AbortSignal): Promise<void> {
    let after: number | undefined = 0;
    while (after !== undefined && !signal.aborted) after = await this.#next(after);
  }

  /** @returns the id of the order that was read; undefined when none waits after `afterId` */
  async #next(afterId: number): Promise<number | undefined> {
    const { engine, transactions, transitionMs } = this.dependencies;
    let current: OperatorOrder | undefined;
    try {
      return await transactions.run({
        work: async (transaction) => {
          const { session } = transaction;
          const [row] = await session.run(claimSagaOrder, engine.replyTopic, afterId);
          if (row === undefined) return undefined;
          const { id, sagaId, order, revision, statedBy: by } = row;
          const event = await openedOrder(session, engine.contents, sagaId, order);
          current = { id, sagaId, event, revision, by };
          await endOrder(session, id, await engine.order(transaction, current));
          return id;
        },
        timeoutMs: transitionMs,
      });
    } catch (error) {
      if (current === undefined || isInfrastructureFailure(error)) throw error;
      if (!(error instanceof SagaVersionUnknownError)) await this.#refuse(current, error);
      return current.id;
    }
  }

  /** An order whose transition fails is not retried: the operator sees why, and decides. */
  async #refuse({ id, sagaId, event }: OperatorOrder, error: unknown): Promise<void> {
    const why = describeError(error);
    this.dependencies.logger.error(`the order to ${event.type} saga ${sagaId} was not carried out: ${why}`);
    await endOrder(this.dependencies.transactions.session, id, why);
  }
}

/** An order, its data encrypted when the service's are. */
export function sealedOrder(contents: SagaContents, sagaId: string, event: OrderEvent): string {
  if (event.type !== 'resolve') return JSON.stringify(event);
  const sealed = contents.seal(sagaId, JSON.stringify(event.data));
  return JSON.stringify({ ...event, data: JSON.parse(sealed) as unknown });
}

async function openedOrder(
  session: SqlSession,
  contents: SagaContents,
  sagaId: string,
  order: string,
): Promise<OrderEvent> {
  const event = JSON.parse(order) as OrderEvent;
  if (event.type !== 'resolve') return event;
  const data = await contents.open(session, sagaId, JSON.stringify(event.data));
  return { ...event, data: JSON.parse(data) as SagaData };
}

async function endOrder(session: SqlSession, id: number, why: string | undefined): Promise<void> {
  await session.run(endSagaOrder, id, why === undefined ? 'applied' : 'refused', why ?? null);
}

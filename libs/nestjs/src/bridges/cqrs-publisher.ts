import { describeError, TransactionRequiredError } from '@waybill/kernel';
import type { Published, TransactionHandle } from '@waybill/outbox';
import type { Waybill } from '../instance/waybill.js';
import type { EventPublisherLike } from './cqrs-buses.js';
import type { ResolvedRoute } from './cqrs-event.js';

/** The header that names an event's class. */
export const EVENT_TYPE_HEADER = 'event-type';

/** Publishes events that have a route through the outbox, and leaves the others to the bus's own publisher. */
export class OutboxEventPublisher implements EventPublisherLike {
  readonly #routes: ReadonlyMap<unknown, ResolvedRoute>;

  constructor(
    private readonly waybill: Waybill,
    routes: readonly ResolvedRoute[],
    private readonly own: EventPublisherLike,
    private readonly requireTransaction: boolean,
  ) {
    this.#routes = new Map(routes.map((route) => [route.event, route]));
  }

  publish(event: object, dispatcherContext?: unknown, asyncContext?: unknown): unknown {
    const route = this.#routes.get(event.constructor);
    if (route === undefined) return this.own.publish(event, dispatcherContext, asyncContext);
    const sent = this.#send(route, event, dispatcherContext);
    // An aggregate's commit() does not await this, but a transaction of Waybill does. A refusal must be logged.
    this.waybill.ambient.awaitWith(sent);
    sent.catch((error: unknown) =>
      this.waybill.logger.error(`could not publish event ${route.type}: ${describeError(error)}`),
    );
    return sent;
  }

  publishAll(events: object[], dispatcherContext?: unknown, asyncContext?: unknown): unknown {
    const sent = Promise.all(events.map((event) => this.publish(event, dispatcherContext, asyncContext)));
    // Each failure is logged already.
    sent.catch(() => {});
    return sent;
  }

  async #send({ topic, type, key }: ResolvedRoute, event: object, context: unknown): Promise<Published> {
    const { ambient, database, outbox } = this.waybill;
    const tx = transactionIn(context) ?? ambient.current;
    if (tx === undefined && this.requireTransaction)
      throw new TransactionRequiredError(`eventBus.publish(${type}) was called outside a transaction`);
    const message = { topic, key: key(event), headers: { [EVENT_TYPE_HEADER]: type }, payload: event };
    return tx === undefined ? outbox.publishAlone(database, message) : outbox.publish(tx, message);
  }
}

/**
 * The transaction of `eventBus.publish(event, { transaction })`. An aggregate, also passed as a context, is not a plain
 * object.
 */
function transactionIn(context: unknown): TransactionHandle | undefined {
  if (typeof context !== 'object' || context === null) return undefined;
  if (Object.getPrototypeOf(context) !== Object.prototype) return undefined;
  return (context as { readonly transaction?: TransactionHandle }).transaction;
}

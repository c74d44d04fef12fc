import { describeError, TransactionRequiredError } from '@waybill/kernel';
import type { Published, TransactionHandle } from '@waybill/outbox';
import type { Waybill } from '../instance/waybill.js';
import type { EventPublisherLike } from './cqrs-buses.js';
import type { ResolvedRoute } from './cqrs-event.js';

/** In a message of an event: which class it is of. */
export const EVENT_TYPE_HEADER = 'event-type';

/** Publishes events that have a way through the log by the outbox, and leaves the others to the bus's own publisher. */
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
    // An aggregate's commit() awaits nothing: a transaction of Waybill's does, and a refusal must not go unheard.
    this.waybill.ambient.awaitWith(sent);
    sent.catch((error: unknown) =>
      this.waybill.logger.error(`the event ${route.type} was not published: ${describeError(error)}`),
    );
    return sent;
  }

  publishAll(events: object[], dispatcherContext?: unknown, asyncContext?: unknown): unknown {
    const sent = Promise.all(events.map((event) => this.publish(event, dispatcherContext, asyncContext)));
    // What has failed is told of each.
    sent.catch(() => {});
    return sent;
  }

  async #send({ topic, type, key }: ResolvedRoute, event: object, context: unknown): Promise<Published> {
    const { ambient, database, outbox } = this.waybill;
    const tx = transactionIn(context) ?? ambient.current;
    if (tx === undefined && this.requireTransaction)
      throw new TransactionRequiredError(`eventBus.publish(${type}) was called in no transaction`);
    const message = { topic, key: key(event), headers: { [EVENT_TYPE_HEADER]: type }, payload: event };
    return tx === undefined ? outbox.publishAlone(database, message) : outbox.publish(tx, message);
  }
}

/** The transaction of `eventBus.publish(event, { transaction })`. An aggregate, which is a context as well, is no plain object. */
function transactionIn(context: unknown): TransactionHandle | undefined {
  if (typeof context !== 'object' || context === null) return undefined;
  if (Object.getPrototypeOf(context) !== Object.prototype) return undefined;
  return (context as { readonly transaction?: TransactionHandle }).transaction;
}

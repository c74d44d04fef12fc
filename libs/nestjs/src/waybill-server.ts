import {
  resolveSubscription,
  type Delivery,
  type SubscriptionOptions,
  type Subscription,
} from '@waybill/consumer';
import { ConfigurationError } from '@waybill/kernel';
import { type CustomTransportStrategy, type MessageHandler, Server } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { withinTransaction } from './ambient-transaction.js';
import { guardOf } from './idempotent.js';
import { keepOriginalErrors } from './keep-original-errors.js';
import { isSagaCommand } from './saga.decorators.js';
import { waybillTransport } from './tokens.js';
import { withinTraceOf } from './trace-context.js';
import type { DeclaredHandler, Waybill } from './waybill.js';
import { WaybillContext } from './waybill-context.js';

/** States of the server, as `status` tells them. */
export type WaybillServerStatus = 'connected' | 'disconnected';

/** Events of the server, for `on`. */
export type WaybillServerEvents = Record<'connected' | 'disconnected', () => void>;

/**
 * The microservice strategy: consumes the topics that `@EventPattern`, `@MessagePattern` and `@SagaCommand` handlers are
 * bound to. A handler's failure, and that of its guards, pipes and interceptors, is a failed attempt of the message,
 * never an acknowledgement. A message that asks for an answer (header `reply-to`) gets what a `@MessagePattern` handler
 * returns; a command of a saga passes its barrier.
 *
 * `app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true })`
 */
export class WaybillServer
  extends Server<WaybillServerEvents, WaybillServerStatus>
  implements CustomTransportStrategy
{
  override readonly transportId: symbol;
  /** Tells Nest that failures are reported here, so that it does not log them a second time. */
  override readonly propagatesEventHandlerErrors = true;
  readonly #listeners: { [E in keyof WaybillServerEvents]: WaybillServerEvents[E][] } = {
    connected: [],
    disconnected: [],
  };

  constructor(private readonly waybill: Waybill) {
    super();
    this.transportId = waybillTransport(waybill.name);
    keepOriginalErrors();
  }

  /** Begins to consume; calls back once, with the error when that fails. */
  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      const subscriptions = this.#subscriptions();
      await this.waybill.start();
      await this.waybill.sagas.createCommandTopics(this.#commands());
      await this.waybill.assertGuardWindows(this.#guarded(subscriptions));
      await this.waybill.consume(subscriptions);
    } catch (error) {
      callback(error);
      return;
    }
    this.#tell('connected');
    callback();
  }

  /** Stops consuming, after letting handlers come to their end. */
  async close(): Promise<void> {
    await this.waybill.stopConsuming();
    this.#tell('disconnected');
  }

  on<E extends keyof WaybillServerEvents, Callback extends WaybillServerEvents[E]>(
    event: E,
    callback: Callback,
  ): void {
    this.#listeners[event].push(callback);
  }

  /** The running instance behind the server. */
  unwrap<T = Waybill>(): T {
    return this.waybill as T;
  }

  #tell(status: WaybillServerStatus): void {
    this._status$.next(status);
    for (const listener of this.#listeners[status]) listener();
  }

  /** @throws ConfigurationError listing every pattern that has two handlers that answer */
  #subscriptions(): Subscription[] {
    const doubled = [...this.messageHandlers].filter(
      ([, handler]) => handler.next !== undefined && isSagaCommand(handler.extras),
    );
    if (doubled.length > 0) {
      throw new ConfigurationError(
        'Waybill cannot serve every handler',
        doubled.map(([pattern]) => `${pattern} has two handlers, and only one could answer its saga`),
      );
    }
    const { handlers, codecs } = this.waybill.options;
    return [...this.messageHandlers].map(([topic, handler]) => {
      const codec = codecs?.[topic];
      const options: SubscriptionOptions = {
        ...handlers,
        ...(codec === undefined ? {} : { codec }),
        ...(handler.extras as SubscriptionOptions | undefined),
      };
      return resolveSubscription(topic, (delivery) => this.#handle(handler, delivery), options);
    });
  }

  /** The topics of handlers that serve sagas. */
  #commands(): string[] {
    return [...this.messageHandlers].flatMap(([topic, { extras }]) => (isSagaCommand(extras) ? [topic] : []));
  }

  /** Handlers that know their messages by id; those that share a topic are chained. */
  #guarded(subscriptions: readonly Subscription[]): DeclaredHandler[] {
    const declared: DeclaredHandler[] = [];
    for (const subscription of subscriptions) {
      let handler = this.messageHandlers.get(subscription.topic);
      for (; handler !== undefined; handler = handler.next as MessageHandler | undefined) {
        const found = guardOf(handler.extras);
        if (found !== undefined && found.guard !== 'entry')
          declared.push({ ...found, guard: found.guard, subscription });
      }
    }
    return declared;
  }

  /** Resolves to what the handler returned last: a verdict, perhaps. */
  #handle(handler: MessageHandler, delivery: Delivery): Promise<unknown> {
    const { guards, sagas } = this.waybill;
    const context = new WaybillContext(delivery, guards.handlers, sagas.locks);
    return new Promise((resolve, reject) => {
      // Nest's types have the hook return nothing; what the callback returns is awaited by some hooks all the same.
      this.onProcessingStartHook(this.transportId, context, async () => {
        try {
          resolve(await withinTraceOf(delivery, () => this.#answered(handler, delivery, context)));
        } catch (error) {
          reject(error as Error);
        } finally {
          this.onProcessingEndHook?.(this.transportId, context);
        }
      });
    });
  }

  /** Runs the handler; one that answers is guarded by the barrier where a saga asks, and its answer is published. */
  #answered(handler: MessageHandler, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const work = (): Promise<unknown> =>
      withinTransaction(this.waybill.name, delivery.session, () => this.#settled(handler, delivery, context));
    if (handler.isEventHandler === true && !isSagaCommand(handler.extras)) return work();
    return this.waybill.sagas.participant.serve(delivery, work);
  }

  /** Waits until the handler, and the stream that it may return, have come to their end. */
  async #settled(handler: MessageHandler, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const result: unknown = await handler(delivery.payload, context);
    return lastValueFrom(this.transformToObservable(result), { defaultValue: undefined });
  }
}

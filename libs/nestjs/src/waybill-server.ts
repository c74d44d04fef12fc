import {
  resolveSubscription,
  type Delivery,
  type SubscriptionOptions,
  type Subscription,
} from '@waybill/consumer';
import { ConfigurationError } from '@waybill/kernel';
import { type CustomTransportStrategy, type MessageHandler, Server } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { keepOriginalErrors } from './keep-original-errors.js';
import { waybillTransport } from './tokens.js';
import { withinTraceOf } from './trace-context.js';
import type { Waybill } from './waybill.js';
import { WaybillContext } from './waybill-context.js';

/** States of the server, as `status` tells them. */
export type WaybillServerStatus = 'connected' | 'disconnected';

/** Events of the server, for `on`. */
export type WaybillServerEvents = Record<'connected' | 'disconnected', () => void>;

/**
 * The microservice strategy: consumes the topics that `@EventPattern` handlers are bound to. A handler's failure,
 * and that of its guards, pipes and interceptors, is a failed attempt of the message, never an acknowledgement.
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
      await this.waybill.consume(this.#subscriptions());
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

  /** @throws ConfigurationError listing every pattern that cannot be served */
  #subscriptions(): Subscription[] {
    const requests = [...this.messageHandlers].filter(([, handler]) => handler.isEventHandler !== true);
    if (requests.length > 0) {
      throw new ConfigurationError(
        'Waybill cannot serve every handler',
        requests.map(([pattern]) => `@MessagePattern(${pattern}) asks for a reply, use @EventPattern`),
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

  /** Resolves to what the handler returned last: a verdict, perhaps. */
  #handle(handler: MessageHandler, delivery: Delivery): Promise<unknown> {
    const context = new WaybillContext(delivery);
    return new Promise((resolve, reject) => {
      // Nest's types have the hook return nothing; what the callback returns is awaited by some hooks all the same.
      this.onProcessingStartHook(this.transportId, context, async () => {
        try {
          resolve(await withinTraceOf(delivery, () => this.#settled(handler, delivery, context)));
        } catch (error) {
          reject(error as Error);
        } finally {
          this.onProcessingEndHook?.(this.transportId, context);
        }
      });
    });
  }

  /** Waits until the handler, and the stream that it may return, have come to their end. */
  async #settled(handler: MessageHandler, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const result: unknown = await handler(delivery.payload, context);
    return lastValueFrom(this.transformToObservable(result), { defaultValue: undefined });
  }
}

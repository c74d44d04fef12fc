import {
  type BatchHandler,
  type Delivery,
  HandlerVerdict,
  type PatternSubscription,
  resolveBatchSubscription,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from '@waybill/consumer';
import { isTopicPattern } from '@waybill/consumer/internal';
import { ConfigurationError, resolveOptions } from '@waybill/kernel';
import { own } from '@waybill/kernel/internal';
import {
  type ConsumerDeserializer,
  type CustomTransportStrategy,
  type MessageHandler,
  Server,
} from '@nestjs/microservices';
import { callOf, isRelease } from '@waybill/saga/internal';
import { databaseTime } from '@waybill/timer/internal';
import { type BatchExtra, batchOf, batchProblems } from './batch-extras.js';
import { allOf, lastOf, valuesOf } from './handler-stream.js';
import { batchPayloads, pipeEachPayload } from '../handler/batch-payloads.js';
import { guardOf } from '../handler/idempotent.js';
import { keepOriginalErrors } from './keep-original-errors.js';
import { RequestReplies } from '../requests/request-replies.js';
import type { GuardedSubscription } from '../guards/guard-windows.js';
import type { Waybill } from '../instance/waybill.js';
import { waybillTransport } from '../options/instance-name.js';
import { SERVER_SPECS, type WaybillServerOptions } from '../options/server-options.js';
import { isSagaCommand } from '../sagas/saga-command-mark.js';
import { WaybillContext } from '../handler/waybill-context.js';

/**
 * States of the server, as `status` reports them. `rebalancing`: it gives up some partitions and consumes the others;
 * `draining`: it is stopping and lets handlers finish.
 */
export type WaybillServerStatus = 'connected' | 'rebalancing' | 'draining' | 'disconnected';

/** Events of the server, for `on`. */
export type WaybillServerEvents = Record<WaybillServerStatus, () => void>;

/** The handlers of one pattern: one that replies, or any number that do not. */
type Handlers = readonly [MessageHandler, ...MessageHandler[]];

/**
 * The microservice strategy: consumes the topics that `@EventPattern`, `@MessagePattern` and `@SagaCommand` handlers
 * are bound to, by name or by a pattern with `*` (one word) and `#` (any number of words). A failure of a handler or of
 * its guards, pipes and interceptors is a failed attempt of the message, never an acknowledgement. A message that asks
 * for a reply (header `reply-to`) gets what a `@MessagePattern` handler returns, or its rejection; a saga command
 * passes its barrier.
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
  readonly #options;
  readonly #requests: RequestReplies;
  readonly #deserializer: ConsumerDeserializer | undefined;
  readonly #handlers = new Map<string, Handlers>();
  /** Patterns with handlers that cannot be combined. */
  readonly #problems: string[] = [];
  #isDraining = false;
  /** Set when consuming was requested. */
  #listening: Promise<void> | undefined;
  #listens = 0;
  readonly #listeners: { [E in keyof WaybillServerEvents]: WaybillServerEvents[E][] } = {
    connected: [],
    rebalancing: [],
    draining: [],
    disconnected: [],
  };

  /** @throws ConfigurationError */
  constructor(
    private readonly waybill: Waybill,
    options: WaybillServerOptions = {},
  ) {
    super();
    const { serializer, deserializer, ...rest } = options;
    this.#options = resolveOptions('server', SERVER_SPECS, rest);
    this.transportId = waybillTransport(waybill.name);
    this.#deserializer = deserializer;
    this.#requests = new RequestReplies({
      replies: waybill.sagas.replies,
      cancellations: waybill.cancellations,
      findTopic: (name) => waybill.topics.find(name),
      serializer,
      now: async () => (await waybill.database.session.run(databaseTime))[0]?.nowMs ?? 0,
    });
    keepOriginalErrors();
  }

  /**
   * Adds a handler. Nest's own list chains event handlers, lets them end each other, and drops handlers when one of
   * them replies; here all of them are kept.
   */
  override addHandler(
    pattern: unknown,
    callback: MessageHandler,
    isEventHandler = false,
    extras: Record<string, unknown> = {},
  ): void {
    const topic = this.normalizePattern(pattern as string);
    if (this.#listening !== undefined) throw connectedTwice(this.waybill.name);
    callback.isEventHandler = isEventHandler;
    callback.extras = extras;
    const [first, ...others] = this.#handlers.get(topic) ?? [];
    if (first === undefined) {
      this.#handlers.set(topic, [callback]);
      this.messageHandlers.set(topic, callback);
      return;
    }
    this.#handlers.set(topic, [first, ...others, callback]);
    const replies = [first, callback].some(
      (handler) => handler.isEventHandler !== true || isSagaCommand(handler.extras),
    );
    if (replies)
      this.#problems.push(
        `${topic} has two handlers and one of them replies: a topic with a replying handler can have only that one`,
      );
  }

  /** Patterns that handlers are bound to: empty until the server is connected to an application. */
  get handlerCount(): number {
    return this.#handlers.size;
  }

  /** Whether consuming was requested. */
  get isListening(): boolean {
    return this.#listening !== undefined;
  }

  /**
   * Starts consuming; calls back once, with the error if that fails. A second call while it consumes, as by a second
   * `startAllMicroservices`, gets the same result.
   */
  async listen(callback: (error?: unknown) => void): Promise<void> {
    this.#listens += 1;
    this.#listening ??= this.#listen();
    try {
      await this.#listening;
    } catch (error) {
      callback(error);
      return;
    }
    callback();
  }

  async #listen(): Promise<void> {
    // Nest starts all its microservices in one turn: by now it has, if this server was connected to two of them.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#listens > 1 && [...this.#handlers.values()].every(({ length }) => length % 2 === 0))
      throw connectedTwice(this.waybill.name);
    const inBatches = [...this.#handlers].flatMap(([topic, handlers]) => batchProblems(topic, handlers));
    if (this.#problems.length + inBatches.length > 0)
      throw new ConfigurationError('Waybill cannot serve every handler', [...this.#problems, ...inBatches]);
    if ([...this.#handlers.values()].some(([first]) => batchOf(first) !== undefined)) pipeEachPayload();
    const patterns = this.#subscriptions();
    const named = patterns.filter(({ pattern }) => !isTopicPattern(pattern));
    await this.waybill.start();
    await this.waybill.sagas.createCommandTopics(this.#commands());
    await this.waybill.assertGuardWindows(this.#guarded(patterns));
    await this.waybill.consume({
      subscriptions: named.map(({ pattern, subscribe }) => subscribe(pattern)),
      patterns: patterns.filter(({ pattern }) => isTopicPattern(pattern)),
      onRebalancing: (isRebalancing) => {
        if (!this.#isDraining) this.#tell(isRebalancing ? 'rebalancing' : 'connected');
      },
    });
    this.#tell('connected');
  }

  /** Stops consuming, after letting handlers finish. */
  async close(): Promise<void> {
    this.#isDraining = true;
    this.#tell('draining');
    await this.waybill.stopConsuming();
    this.#tell('disconnected');
  }

  on<E extends keyof WaybillServerEvents, Callback extends WaybillServerEvents[E]>(
    event: E,
    callback: Callback,
  ): void {
    this.#listeners[event].push(callback);
  }

  /** The server's running instance. */
  unwrap<T = Waybill>(): T {
    return this.waybill as T;
  }

  #tell(status: WaybillServerStatus): void {
    this._status$.next(status);
    for (const listener of this.#listeners[status]) listener();
  }

  /** The subscriptions of the handlers; those of one pattern share the options of the first. */
  #subscriptions(): PatternSubscription[] {
    const { contracts, options } = this.waybill;
    const { handlers: byDefault, codecs } = options;
    return [...this.#handlers].map(([pattern, handlers]) => {
      const subscribe = (topic: string): Subscription => {
        const codec = own(codecs, topic);
        const schema = contracts.find(topic);
        const given: SubscriptionOptions = {
          ...byDefault,
          ...(codec === undefined ? {} : { codec }),
          ...(schema === undefined ? {} : { schema }),
          replies: this.#replies(handlers),
          ...(handlers[0].extras as SubscriptionOptions | undefined),
        };
        const [first] = handlers;
        const batch = batchOf(first);
        if (batch !== undefined) return this.#subscribeBatch(topic, first, batch, given);
        const handle = (delivery: Delivery): Promise<unknown> =>
          this.waybill.handlerDurations.measure(topic, () =>
            this.#asks(handlers, delivery)
              ? this.#requests.watched(delivery, (watched) => this.#handle(handlers, watched))
              : this.#handle(handlers, delivery),
          );
        return resolveSubscription(topic, handle, given);
      };
      return { pattern, subscribe };
    });
  }

  #subscribeBatch(
    topic: string,
    handler: MessageHandler,
    { type, ...batch }: BatchExtra,
    given: SubscriptionOptions,
  ): Subscription {
    const handle: BatchHandler = ([first, ...others]) =>
      first === undefined
        ? Promise.resolve()
        : this.waybill.handlerDurations.measure(topic, () =>
            this.#handleBatch(handler, [first, ...others], type),
          );
    return resolveBatchSubscription(topic, handle, { ...given, batch });
  }

  /** Resolves to what a batch handler returned. */
  #handleBatch(
    handler: MessageHandler,
    deliveries: readonly [Delivery, ...Delivery[]],
    type: BatchExtra['type'],
  ): Promise<unknown> {
    const [{ session, transaction, signal }] = deliveries;
    return this.#hooked(deliveries, (context) =>
      this.waybill.ambient.within(session, transaction, async () => {
        const payloads = await Promise.all(deliveries.map((delivery) => this.#dataOf(delivery)));
        return lastOf(valuesOf(await handler(batchPayloads(payloads, type), context), signal));
      }),
    );
  }

  /** The topics of saga command handlers. */
  #commands(): string[] {
    return [...this.#handlers].flatMap(([topic, [{ extras }]]) => (isSagaCommand(extras) ? [topic] : []));
  }

  /** Handlers that recognise messages by id. */
  #guarded(patterns: readonly PatternSubscription[]): GuardedSubscription[] {
    return patterns.flatMap(({ pattern, subscribe }) =>
      (this.#handlers.get(pattern) ?? []).flatMap((handler) => {
        const found = guardOf(handler.extras);
        if (found === undefined || found.guard === 'entry') return [];
        return [{ ...found, guard: found.guard, subscription: subscribe(pattern) }];
      }),
    );
  }

  /** Resolves to the handler's verdict, if it gave one. */
  #handle(handlers: Handlers, delivery: Delivery): Promise<unknown> {
    return this.#hooked([delivery], (context) => this.#replied(handlers, delivery, context));
  }

  /** Runs work between Nest's hooks. */
  #hooked(
    deliveries: readonly [Delivery, ...Delivery[]],
    run: (context: WaybillContext) => Promise<unknown>,
  ): Promise<unknown> {
    const { guards, sagas } = this.waybill;
    const context = new WaybillContext(deliveries, guards.handlers, sagas.locks);
    return new Promise((resolve, reject) => {
      const work = async (): Promise<void> => {
        try {
          resolve(await run(context));
        } catch (error) {
          reject(error as Error);
        } finally {
          this.onProcessingEndHook?.(this.transportId, context);
        }
      };
      // Early releases of Nest 11 have no hook. Its type returns void, but some hooks are asynchronous, and may fail
      // before the work begins.
      const hook = this.onProcessingStartHook as typeof this.onProcessingStartHook | undefined;
      const started = hook?.(this.transportId, context, work) as Promise<void> | undefined;
      if (hook === undefined) void work();
      else if (started instanceof Promise) started.catch(reject);
    });
  }

  /** Whether a topic's handlers reply to requests; event handlers do not. */
  #replies([first]: readonly [MessageHandler, ...MessageHandler[]]): boolean {
    return first.isEventHandler !== true || isSagaCommand(first.extras);
  }

  /** Whether it is a request other than a saga command. */
  #asks([first]: Handlers, delivery: Delivery): boolean {
    return (
      this.#replies([first]) && callOf(delivery.control) === undefined && this.#requests.asksFor(delivery)
    );
  }

  /** Runs the handler; a request gets its reply, and a saga command passes its barrier. */
  #replied(handlers: Handlers, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const [first] = handlers;
    const run = <T>(work: () => Promise<T>): Promise<T> =>
      this.waybill.ambient.within(delivery.session, delivery.transaction, work);
    const last = (): Promise<unknown> => run(() => this.#runOne(first, delivery, context));
    // This one is not a request for a handler of any kind.
    if (isRelease(delivery.control)) return this.waybill.sagas.participant.serve(delivery, last);
    if (first.isEventHandler === true && !isSagaCommand(first.extras))
      return run(() => this.#runAll(handlers, delivery, context));
    if (callOf(delivery.control) !== undefined) return this.waybill.sagas.participant.serve(delivery, last);
    if (!this.#asks(handlers, delivery)) return last();
    return this.#requests.serve(delivery, () =>
      run(async () => {
        const result: unknown = await first(await this.#dataOf(delivery), context);
        return allOf(valuesOf(result, delivery.signal), this.#options.streamMaxValues);
      }),
    );
  }

  /**
   * Waits for every handler, even if one fails: none may still be running when the transaction is rolled back. The
   * first failure counts; otherwise a verdict.
   */
  async #runAll(handlers: Handlers, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const failures: unknown[] = [];
    const results = await Promise.all(
      handlers.map((handler) =>
        this.#runOne(handler, delivery, context).catch((error: unknown) => void failures.push(error)),
      ),
    );
    if (failures.length > 0) throw failures[0];
    return results.find((result) => result instanceof HandlerVerdict);
  }

  /** Waits until the handler, and the stream that it may return, have ended. */
  async #runOne(handler: MessageHandler, delivery: Delivery, context: WaybillContext): Promise<unknown> {
    const result: unknown = await handler(await this.#dataOf(delivery), context);
    return lastOf(valuesOf(result, delivery.signal));
  }

  async #dataOf({ payload, topic, headers }: Delivery): Promise<unknown> {
    if (this.#deserializer === undefined) return payload;
    const packet = await this.#deserializer.deserialize(payload, { channel: topic, headers });
    return packet.data as unknown;
  }
}

/** Each of its handlers would run twice per message. */
function connectedTwice(instance: string): ConfigurationError {
  return new ConfigurationError('Waybill cannot serve every handler', [
    `the WaybillServer of instance ${instance} was connected to two microservices: call connectMicroservice() once with it`,
  ]);
}

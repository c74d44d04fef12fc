import {
  ClientProxy,
  type ProducerDeserializer,
  type ProducerSerializer,
  type ReadPacket,
  type WritePacket,
} from '@nestjs/microservices';
import { describeError, resolveOptions, TransactionRequiredError } from '@waybill/kernel';
import type { Observable } from 'rxjs';
import { clientMessage } from './client-message.js';
import { NestLoggerAdapter } from '../instance/nest-logger.js';
import { PendingRequest } from './pending-request.js';
import { REQUEST_TIMEOUT_HEADER } from '../requests/request-replies.js';
import { CLIENT_SPECS, type WaybillClientOptions } from '../options/client-options.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { instances, type Waybill } from '../instance/waybill.js';
import { WaybillRecord } from './waybill-record.js';

/** What a {@link WaybillClient} works with: its options and its instance. */
export type WaybillClientSettings = WaybillClientOptions & {
  readonly waybill?: Waybill;
  /** Finds the instance by its name if it cannot be injected. Default `default`. */
  readonly instance?: string;
};

/** States of a client, as `status` reports them. */
export type WaybillClientStatus = 'connected' | 'disconnected';

/** Events of a client, for `on`. */
export type WaybillClientEvents = Record<WaybillClientStatus, () => void>;

/**
 * Nest's client: `emit` publishes an event, and `send` sends a request and awaits the replies of a `@MessagePattern`
 * handler of another service. The pattern is the topic; data may be a {@link WaybillRecord} with key and headers.
 *
 * - `emit` joins the transaction of the handler, or of `waybill.transaction(…)`, in which it is called; await it there:
 *   `await lastValueFrom(client.emit('orders.placed', order))`. Outside of both it is refused: use `Outbox.publish`
 *   with your transaction. If an `emit` that is not awaited fails, the error is logged.
 * - `send` commits at once, in its own transaction: an uncommitted request would never get a reply.
 */
export class WaybillClient extends ClientProxy<WaybillClientEvents> {
  readonly #options;
  readonly #serializer: ProducerSerializer | undefined;
  readonly #deserializer: ProducerDeserializer | undefined;
  readonly #pending = new Set<PendingRequest>();
  readonly #listeners: Record<WaybillClientStatus, (() => void)[]> = { connected: [], disconnected: [] };
  readonly #instance: string;
  #waybill: Waybill | undefined;
  #isConnected = false;

  /** @throws ConfigurationError */
  constructor(settings: WaybillClientSettings = {}) {
    super();
    const { waybill, instance, serializer, deserializer, ...options } = settings;
    this.#waybill = waybill;
    this.#instance = instance ?? waybill?.name ?? DEFAULT_NAME;
    this.#options = resolveOptions('client', CLIENT_SPECS, options, () => [
      ...(serializer === undefined || typeof serializer.serialize === 'function'
        ? []
        : ['serializer must have a method serialize']),
      ...(deserializer === undefined || typeof deserializer.deserialize === 'function'
        ? []
        : ['deserializer must have a method deserialize']),
    ]);
    this.#serializer = serializer;
    this.#deserializer = deserializer;
  }

  /** Starts the client's instance. */
  async connect(): Promise<void> {
    await this.unwrap<Waybill>().start();
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#tell('connected');
  }

  /**
   * Stops waiting for replies; pending requests fail with `NotRunningError`. The instance is closed with the
   * application.
   */
  close(): void {
    for (const request of this.#pending) request.closed();
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#tell('disconnected');
  }

  /**
   * Emits whether the client is connected, now and on each change. Nest accepts only clients whose states are of type
   * string.
   */
  override get status(): Observable<WaybillClientStatus> {
    return super.status as Observable<WaybillClientStatus>;
  }

  override on<E extends keyof WaybillClientEvents, Callback extends WaybillClientEvents[E]>(
    event: E,
    callback: Callback,
  ): void {
    this.#listeners[event].push(callback);
  }

  /**
   * The client's instance.
   * @throws ConfigurationError when the instance is looked up by name and there is none, or more than one
   */
  unwrap<T = Waybill>(): T {
    this.#waybill ??= instances.named(this.#instance);
    return this.#waybill as T;
  }

  override emit<Result = unknown, Input = unknown>(pattern: unknown, data: Input): Observable<Result> {
    const sent = super.emit<Result, Input>(pattern, data);
    // It is sent whether or not there is a subscriber; without one, a refusal must be logged.
    sent.subscribe({
      error: (error: unknown) => {
        const logger = this.#waybill?.logger ?? new NestLoggerAdapter('Waybill');
        logger.error(`client.emit(${JSON.stringify(pattern)}) failed: ${describeError(error)}`);
      },
    });
    return sent;
  }

  protected async dispatchEvent<T = unknown>(packet: ReadPacket): Promise<T> {
    const { ambient, outbox, database } = this.unwrap<Waybill>();
    const topic = this.#topicOf(packet);
    const tx = ambient.current;
    if (tx === undefined && this.#options.requireTransaction)
      throw new TransactionRequiredError(`client.emit(${topic}) was called outside a transaction`);
    const message = await clientMessage(topic, packet, this.#serializer);
    const { id } =
      tx === undefined ? await outbox.publishAlone(database, message) : await outbox.publish(tx, message);
    return id as T;
  }

  protected publish(packet: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    const waybill = this.unwrap<Waybill>();
    const replies = waybill.listenForReplies();
    const { name, control } = replies.request();
    const { id } = name;
    const topic = this.#topicOf(packet);
    const trace = waybill.tracing.request(topic, id);
    let forget = (): void => {};
    const request = new PendingRequest({
      topic,
      id,
      timeoutMs: this.#timeoutOf(packet.data),
      deserializer: this.#deserializer,
      callback,
      // Whether it was published or not: a cancellation of an unknown request does no harm.
      onGivenUp: () => waybill.cancellations.tell(name),
      onEnd: (error) => {
        trace.end(error);
        forget();
        this.#pending.delete(request);
      },
    });
    forget = replies.listen(id, request);
    this.#pending.add(request);
    trace
      .run(() => this.#ask(topic, { ...packet, id }, control, request))
      .catch((error: unknown) => request.fail(error));
    return () => request.cancel();
  }

  /** Publishes the request, unless it has ended by then. */
  async #ask(
    topic: string,
    packet: ReadPacket & { readonly id: string },
    control: Readonly<Record<string, string>>,
    request: PendingRequest,
  ): Promise<void> {
    const waybill = this.unwrap<Waybill>();
    await waybill.listenForReplies().start();
    const message = await clientMessage(topic, packet, this.#serializer);
    if (!request.isOpen) return;
    const { outbox, database } = waybill;
    const own = { ...control, [REQUEST_TIMEOUT_HEADER]: String(request.remainingMs) };
    await outbox.publishEncodedAlone(
      database,
      outbox.encodeControl({ ...message, control: own, hasUserKey: true }),
    );
  }

  /** @throws ConfigurationError if the request has an invalid time-out */
  #timeoutOf(data: unknown): number {
    const own = data instanceof WaybillRecord ? data.options.timeoutMs : undefined;
    const { timeoutMs } = this.#options;
    const spec = { ...CLIENT_SPECS.timeoutMs, default: timeoutMs };
    return resolveOptions('request', { timeoutMs: spec }, { timeoutMs: own }).timeoutMs;
  }

  #tell(status: WaybillClientStatus): void {
    this._status$.next(status);
    for (const listener of this.#listeners[status]) listener();
  }

  /** Patterns are topics, normalised by Nest. */
  #topicOf(packet: ReadPacket): string {
    return this.normalizePattern(packet.pattern as string);
  }
}

/**
 * Creates a client of an instance, for `ClientsModule.registerAsync`: `useFactory: (waybill) =>
 * waybillClient(waybill)`.
 */
export function waybillClient(
  waybill: Waybill,
  options: WaybillClientOptions = {},
): { customClass: typeof WaybillClient; options: WaybillClientSettings } {
  return { customClass: WaybillClient, options: { ...options, waybill } };
}

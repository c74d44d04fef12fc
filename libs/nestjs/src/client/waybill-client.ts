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

/** What a {@link WaybillClient} is made of: its options, and the instance that it works with. */
export type WaybillClientSettings = WaybillClientOptions & {
  readonly waybill?: Waybill;
  /** Finds the instance by its name where it cannot be injected. Default `default`. */
  readonly instance?: string;
};

/** States of a client, as `status` tells them. */
export type WaybillClientStatus = 'connected' | 'disconnected';

/** Events of a client, for `on`. */
export type WaybillClientEvents = Record<WaybillClientStatus, () => void>;

/**
 * Nest's client: `emit` publishes an event, and `send` asks and awaits the answers of a `@MessagePattern` handler of
 * another service. The pattern is the topic; data may be a {@link WaybillRecord} with key and headers.
 *
 * - `emit` joins the transaction of the handler, or of `waybill.transaction(…)`, that it is called in, and is to be
 *   awaited there: `await lastValueFrom(client.emit('orders.placed', order))`. Outside of both it is refused: publish with
 *   the transaction by `Outbox.publish`. What becomes of an `emit` that nobody awaits stands in the log, at least.
 * - `send` is committed at once, in a transaction of its own, because an answer to what is not committed never comes.
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

  /** Starts the instance behind the client. */
  async connect(): Promise<void> {
    await this.unwrap<Waybill>().start();
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#tell('connected');
  }

  /** Waits for no answer any more; requests under way fail with `NotRunningError`. The instance is closed with the application. */
  close(): void {
    for (const request of this.#pending) request.closed();
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#tell('disconnected');
  }

  /** Whether the client is connected, now and from now on. Nest takes clients only whose states are any text. */
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
   * The instance behind the client.
   * @throws ConfigurationError when it is to be found by its name, and there is none, or more than one
   */
  unwrap<T = Waybill>(): T {
    this.#waybill ??= instances.named(this.#instance);
    return this.#waybill as T;
  }

  override emit<Result = unknown, Input = unknown>(pattern: unknown, data: Input): Observable<Result> {
    const sent = super.emit<Result, Input>(pattern, data);
    // It is sent whether anybody listens or not; and when nobody does, a refusal must not go unheard.
    sent.subscribe({
      error: (error: unknown) => {
        const logger = this.#waybill?.logger ?? new NestLoggerAdapter('Waybill');
        logger.error(
          `client.emit(${JSON.stringify(pattern)}) has published nothing: ${describeError(error)}`,
        );
      },
    });
    return sent;
  }

  protected async dispatchEvent<T = unknown>(packet: ReadPacket): Promise<T> {
    const { ambient, outbox, database } = this.unwrap<Waybill>();
    const topic = this.#topicOf(packet);
    const tx = ambient.current;
    if (tx === undefined && this.#options.requireTransaction)
      throw new TransactionRequiredError(`client.emit(${topic}) was called in no transaction`);
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
      // Published or not: a note about what is not there does no harm.
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

  /** Publishes the request, unless it is over by then. */
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

  /** @throws ConfigurationError for a time-out of the request's own that is none */
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

  /** Patterns are topics; Nest has normalised them. */
  #topicOf(packet: ReadPacket): string {
    return this.normalizePattern(packet.pattern as string);
  }
}

/** A client of an instance, for `ClientsModule.registerAsync`: `useFactory: (waybill) => waybillClient(waybill)`. */
export function waybillClient(
  waybill: Waybill,
  options: WaybillClientOptions = {},
): { customClass: typeof WaybillClient; options: WaybillClientSettings } {
  return { customClass: WaybillClient, options: { ...options, waybill } };
}

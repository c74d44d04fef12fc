import {
  BackgroundService,
  type Given,
  IdlePace,
  type Logger,
  oneOf,
  resolveOptions,
  SubjectErasedError,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import { own } from '@waybill/kernel/internal';
import { SagaDefinitionChangedError, SagaVersionUnknownError } from '../errors/saga-errors.js';
import { type Delivery, drop, resolveSubscription, retryIn, type Subscription } from '@waybill/consumer';
import { REPLY_ERROR_HEADER, REPLY_STATUS_HEADER, replyStatus } from '@waybill/consumer/internal';
import { type Codec, jsonCodec, type PayloadContract } from '@waybill/outbox';
import type { SagaOp } from '../definition/saga-command.js';
import type { SagaDefinitions } from '../definition/saga-definitions.js';
import type { UnservedSagas } from '../engine/registered-definitions.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import type { SagaEvent } from '../machine/saga-event.js';
import {
  SAGA_ATTEMPT_HEADER,
  SAGA_EVENT_HEADER,
  SAGA_HOLDS_HEADER,
  SAGA_ID_HEADER,
  SAGA_MAC_HEADER,
  SAGA_OP_HEADER,
  SAGA_STEP_HEADER,
} from '../message/saga-headers.js';
import { SagaCaller } from '../http/saga-caller.js';
import { SagaEvents, type SagaEventOptions } from './saga-events.js';
import { UnclaimedEvents, type UnclaimedHandler } from './unclaimed-events.js';
import { SagaEndpoints, type SagaHttpOptions } from '../http/saga-endpoint.js';
import type { EventPayload, WireEvent } from '../message/saga-messages.js';
import { SagaOrders } from './saga-orders.js';
import { SagaRefusals } from './saga-refusals.js';
import { SagaClock } from './saga-clock.js';
import { plainOf } from '../machine/saga-data.js';

const SPECS = {
  /** Longest interval between two polls for due sagas, in milliseconds. */
  pollMs: wholeNumber({ default: 1_000, min: 5, max: 60_000 }),
  /**
   * The same when no saga of this process has started or gone on for a minute, in milliseconds; also the time within which an
   * operator's order is carried out then. Not above `pollMs`: always `pollMs`.
   */
  pollIdleMs: wholeNumber({ default: 5_000, min: 5, max: 60_000 }),
  /** Time limit of a transition with its local actions, in milliseconds. */
  transitionMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Sagas that the clock runs at a time, each on its own connection. */
  concurrency: wholeNumber({ default: 4, min: 1, max: 64 }),
  /** What to do at start with active sagas of a version that this process does not have. */
  onUnknownVersion: oneOf(['refuse', 'wait'], 'refuse'),
  /** What to do at start with active sagas whose version has different steps now. */
  onChangedDefinition: oneOf(['refuse', 'stuck'], 'refuse'),
  /** Largest number of replies that share a transaction. */
  transactionBatch: wholeNumber({ default: 16, min: 1, max: 32 }),
};

/** Options of a {@link SagaLoop}. */
export type SagaLoopOptions = Given<typeof SPECS> & {
  /** Options of HTTP commands. */
  readonly http?: SagaHttpOptions;
  /** Events of other services. */
  readonly events?: SagaEventOptions;
};

/** What a {@link SagaLoop} works with. */
export interface SagaLoopDependencies {
  readonly engine: SagaEngine;
  readonly definitions: SagaDefinitions;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** Codecs by topic, of replies and events. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  /** Schemas of events' topics. Default: none. */
  readonly contractOf?: (topic: string) => PayloadContract | undefined;
  /** Handlers of events that no saga waited for, by topic. Default: none. */
  readonly unclaimed?: ReadonlyMap<string, UnclaimedHandler>;
}

/** Retry delay of a message to a saga whose definition this process lacks or has changed: another process may have it. */
const UNKNOWN_VERSION_MS = 5_000;
/** How often this process renews the registration of its definitions, in milliseconds. */
const REGISTER_MS = 30_000;

/** Runs the sagas of a service, in each of its processes: on replies from the log, and when something is due. */
export class SagaLoop {
  /** Makes the HTTP calls. {@link start} starts it. */
  readonly caller: SagaCaller;
  readonly #clock: SagaClock;
  readonly #orders: BackgroundService;
  /** Events of other services: their subscriptions are for the consumer of the group that eventGroupOf() names. */
  readonly events: SagaEvents;
  readonly #unclaimed: UnclaimedEvents;
  /** Messages that were dropped because no participant of the service's sagas sent them. */
  readonly refusals: SagaRefusals;
  readonly #endpoints: SagaEndpoints;
  readonly #options;
  #registeredMs = -Infinity;

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: SagaLoopDependencies,
    { http, events, ...options }: SagaLoopOptions = {},
  ) {
    this.#options = resolveOptions('sagas', SPECS, options);
    this.#endpoints = new SagaEndpoints(http);
    const { engine, logger, transactions } = dependencies;
    const { transitionMs, pollMs, pollIdleMs, concurrency } = this.#options;
    const pace = new IdlePace({ busyMs: pollMs, quietMs: pollIdleMs, isAnnounced: () => true });
    const paced = { pace, idleMinMs: Math.min(20, pollMs) };
    this.#clock = new SagaClock({ engine, transactions, logger, transitionMs, concurrency, ...paced });
    const endpoints = this.#endpoints;
    this.caller = new SagaCaller({ ...dependencies, endpoints, transitionMs, ...paced });
    const orders = new SagaOrders({ engine, transactions, logger, transitionMs });
    // Separate from the clock: an operator's order must not wait for the sagas it concerns.
    this.#orders = new BackgroundService({
      name: 'orders to sagas',
      runOnce: async (signal) => {
        await orders.carryOut(signal);
        await this.#register();
        return 'idle';
      },
      idleMinMs: paced.idleMinMs,
      idleMaxMs: pace,
      logger,
    });
    const { definitions, contractOf = () => undefined, unclaimed: handlers = new Map() } = dependencies;
    const codecOf = (topic: string): Codec => this.#codecOf(topic);
    this.events = new SagaEvents({ engine, definitions, logger, codecOf, contractOf, transitionMs }, events);
    this.#unclaimed = new UnclaimedEvents({ engine, handlers, transactions, logger, transitionMs, ...paced });
    engine.stir.onRing(() => {
      if (pace.worked()) this.#clock.service.bell.ring();
    });
    this.refusals = new SagaRefusals(engine.replyTopic, logger);
  }

  /** Starts to run what is due and what operators order. */
  start(): void {
    this.#clock.service.start();
    this.#orders.start();
    this.caller.start();
    this.#unclaimed.service.start();
  }

  /** Renews the registration of this process's definitions. */
  async #register(): Promise<void> {
    const now = performance.now();
    if (now - this.#registeredMs < REGISTER_MS) return;
    await this.dependencies.engine.registered.register(this.dependencies.transactions.session);
    this.#registeredMs = now;
  }

  /** Stops when the work in progress has ended. */
  async stop(): Promise<void> {
    await Promise.all([
      this.#clock.stop(),
      this.#orders.stop(),
      this.caller.stop(),
      this.#unclaimed.service.stop(),
    ]);
  }

  /**
   * Checks that every active saga has its definition here, and that endpoints may be called.
   * @throws ConfigurationError that names the versions that were dropped too early, or the hosts that are not listed
   */
  async assertUsable(): Promise<void> {
    const { engine, definitions, transactions, logger } = this.dependencies;
    this.#endpoints.assertAllowed(definitions.calls());
    await engine.registered.check(transactions.session, this.#options, logger);
  }

  /** Active sagas that no process of the service can continue, because none has their version. */
  unserved(): Promise<UnservedSagas[]> {
    return this.dependencies.engine.registered.unserved(this.dependencies.transactions.session);
  }

  /** The subscriptions of the service's consumer: the replies. */
  subscriptions(): Subscription[] {
    return [this.#replies()];
  }

  #codecOf(topic: string): Codec {
    return own(this.dependencies.codecs ?? {}, topic) ?? jsonCodec;
  }

  #replies(): Subscription {
    const { replyTopic } = this.dependencies.engine;
    return resolveSubscription(replyTopic, (delivery) => this.handle(delivery), {
      name: 'sagas',
      codec: this.#codecOf(replyTopic),
      transactionBatch: this.#options.transactionBatch,
      maxProcessingMs: this.#options.transitionMs,
      // A lost reply would leave its saga to time-outs, so it is retried for a day.
      retry: { immediateAttempts: 2, delayMs: 200, maxDelayMs: 60_000, maxAttempts: 1_000 },
    });
  }

  /**
   * Handles a reply, or another message to a saga, in the transaction of its delivery. A message without a MAC of this service is
   * dropped and stored as refused: anyone who may publish could have sent it.
   */
  async handle(delivery: Delivery): Promise<unknown> {
    const { control, session, transaction } = delivery;
    const id = control[SAGA_ID_HEADER];
    const event = eventOf(delivery);
    if (id === undefined || event === undefined)
      return this.refusals.keep(delivery, 'it is neither a reply nor an event of a saga');
    if (!(await this.#isOwn(delivery, id, event)))
      return this.refusals.keep(delivery, 'it has no MAC of this service');
    try {
      await this.dependencies.engine.tell({ session, handle: transaction }, id, event);
      return undefined;
    } catch (error) {
      if (error instanceof SagaVersionUnknownError || error instanceof SagaDefinitionChangedError)
        return retryIn(UNKNOWN_VERSION_MS);
      if (error instanceof SubjectErasedError) return drop(`the subject of saga ${id} was erased`);
      throw error;
    }
  }

  #isOwn({ control, session }: Delivery, sagaId: string, event: FromLog): Promise<boolean> {
    const { keys } = this.dependencies.engine;
    const mac = control[SAGA_MAC_HEADER];
    if (event.type !== 'reply') return keys.isEvent(session, mac, sagaId, event);
    const { step, op, attempt } = event;
    return keys.isCommand(session, mac, { sagaId, step, op, attempt });
  }
}

/** Events that reach a saga through the log. Operators' orders do not: they use `waybill.order_saga()`. */
type FromLog = WireEvent | Extract<SagaEvent, { type: 'reply' }>;

const WIRE_EVENTS: ReadonlySet<unknown> = new Set<WireEvent['type']>([
  'signal',
  'event',
  'child',
  'undo',
  'cancel',
  'turn',
]);

function eventOf({ control, payload }: Delivery): FromLog | undefined {
  if (control[SAGA_EVENT_HEADER] !== undefined) {
    const event: Partial<WireEvent> | undefined = ((payload ?? {}) as Partial<EventPayload>).event;
    return WIRE_EVENTS.has(event?.type) ? plainOf(event as WireEvent) : undefined;
  }
  const step = control[SAGA_STEP_HEADER];
  const op = control[SAGA_OP_HEADER] as SagaOp | undefined;
  const status = replyStatus(control[REPLY_STATUS_HEADER]);
  const attempt = Number(control[SAGA_ATTEMPT_HEADER]);
  if (step === undefined || op === undefined || status === undefined || !Number.isSafeInteger(attempt))
    return undefined;
  const error = control[REPLY_ERROR_HEADER];
  const holds = control[SAGA_HOLDS_HEADER] !== undefined;
  const more = { ...(error !== undefined && { error }), ...(holds && { holds }) };
  return { type: 'reply', step, op, attempt, status, payload: plainOf(payload), ...more };
}

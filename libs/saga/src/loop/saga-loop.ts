import {
  BackgroundService,
  type Given,
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
  /** Longest time between two looks for sagas for which something is due, in milliseconds. */
  pollMs: wholeNumber({ default: 1_000, min: 5, max: 60_000 }),
  /** How long a transition with its local actions may take, in milliseconds. */
  transitionMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Sagas that the clock carries on at a time, each on a connection of its own. */
  concurrency: wholeNumber({ default: 4, min: 1, max: 64 }),
  /** What is done at the start about sagas under way of a version that this process does not have. */
  onUnknownVersion: oneOf(['refuse', 'wait'], 'refuse'),
  /** What is done at the start about sagas under way whose version has other steps by now. */
  onChangedDefinition: oneOf(['refuse', 'stuck'], 'refuse'),
  /** Answers that share a transaction at most. */
  transactionBatch: wholeNumber({ default: 16, min: 1, max: 32 }),
};

/** Options of a {@link SagaLoop}. */
export type SagaLoopOptions = Given<typeof SPECS> & {
  /** How and where HTTP commands are sent. */
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
  /** Codecs by topic: of answers, and of events. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  /** Schemas of events' topics. Default: none. */
  readonly contractOf?: (topic: string) => PayloadContract | undefined;
  /** Handlers of events that no saga has waited for, by topic. Default: none. */
  readonly unclaimed?: ReadonlyMap<string, UnclaimedHandler>;
}

/** A saga whose definition this process does not have, or not as it was, is another's: it is asked again after this. */
const UNKNOWN_VERSION_MS = 5_000;
/** How often this process tells that it has its definitions, in milliseconds. */
const REGISTER_MS = 30_000;

/** Carries the sagas of a service on, in each of its processes: by answers from the log, and when something is due. */
export class SagaLoop {
  /** Makes the HTTP calls. {@link start} begins it. */
  readonly caller: SagaCaller;
  readonly #clock: SagaClock;
  readonly #orders: BackgroundService;
  /** Events of other services: their subscriptions are for the consumer of the group that eventGroupOf() names. */
  readonly events: SagaEvents;
  readonly #unclaimed: UnclaimedEvents;
  /** Messages that were dropped because none of the service's own has sent them. */
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
    const { transitionMs, pollMs, concurrency } = this.#options;
    this.#clock = new SagaClock({ engine, transactions, logger, transitionMs, pollMs, concurrency });
    const endpoints = this.#endpoints;
    this.caller = new SagaCaller({ ...dependencies, endpoints, transitionMs, pollMs });
    const orders = new SagaOrders({ engine, transactions, logger, transitionMs });
    // Beside the clock: what an operator orders must not wait behind what it is about.
    this.#orders = new BackgroundService({
      name: 'orders to sagas',
      runOnce: async (signal) => {
        await orders.carryOut(signal);
        await this.#register();
        return 'idle';
      },
      idleMinMs: Math.min(20, pollMs),
      idleMaxMs: pollMs,
      logger,
    });
    const { definitions, contractOf = () => undefined, unclaimed: handlers = new Map() } = dependencies;
    const codecOf = (topic: string): Codec => this.#codecOf(topic);
    this.events = new SagaEvents({ engine, definitions, logger, codecOf, contractOf, transitionMs }, events);
    this.#unclaimed = new UnclaimedEvents({ engine, handlers, transactions, logger, transitionMs, pollMs });
    this.refusals = new SagaRefusals(engine.replyTopic, logger);
  }

  /** Begins to carry on what is due, and what operators order. */
  start(): void {
    this.#clock.service.start();
    this.#orders.start();
    this.caller.start();
    this.#unclaimed.service.start();
  }

  /** Tells the other processes every now and then that this one still has its definitions. */
  async #register(): Promise<void> {
    const now = performance.now();
    if (now - this.#registeredMs < REGISTER_MS) return;
    await this.dependencies.engine.registered.register(this.dependencies.transactions.session);
    this.#registeredMs = now;
  }

  /** Stops when what is under way has ended. */
  async stop(): Promise<void> {
    await Promise.all([
      this.#clock.stop(),
      this.#orders.stop(),
      this.caller.stop(),
      this.#unclaimed.service.stop(),
    ]);
  }

  /**
   * Checks that every saga under way has its definition here, and that endpoints may be called.
   * @throws ConfigurationError naming the versions that were dropped too early, or the hosts that are not listed
   */
  async assertUsable(): Promise<void> {
    const { engine, definitions, transactions, logger } = this.dependencies;
    this.#endpoints.assertAllowed(definitions.calls());
    await engine.registered.check(transactions.session, this.#options, logger);
  }

  /** Sagas under way that no process of the service can carry on, because none has their version. */
  unserved(): Promise<UnservedSagas[]> {
    return this.dependencies.engine.registered.unserved(this.dependencies.transactions.session);
  }

  /** The subscriptions of the service's consumer: to the answers. */
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
      // An answer that is lost would leave its saga to its time-outs: it is tried for a day.
      retry: { immediateAttempts: 2, delayMs: 200, maxDelayMs: 60_000, maxAttempts: 1_000 },
    });
  }

  /**
   * Handles an answer, or another message to a saga, in the transaction of its delivery. What has no MAC of this service is
   * dropped, and kept as refused: anyone who may publish could send it.
   */
  async handle(delivery: Delivery): Promise<unknown> {
    const { control, session, transaction } = delivery;
    const id = control[SAGA_ID_HEADER];
    const event = eventOf(delivery);
    if (id === undefined || event === undefined)
      return this.refusals.keep(delivery, 'it is neither an answer nor an event of a saga');
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

/** What a saga is told by way of the log. Orders of operators are not: they come through `waybill.order_saga()`. */
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

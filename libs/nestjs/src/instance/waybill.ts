import { type ConsumerDependencies, type ConsumerStatus, type RetryBudgetStore } from '@waybill/consumer';
import {
  Bell,
  ConfigurationError,
  type Logger,
  PgDatabase,
  type PgTransactionHandle,
  PgTransactionRunner,
  type TransactionRunner,
} from '@waybill/kernel';
import { databaseNameOf, own } from '@waybill/kernel/internal';
import { type LogEngine, Sealer, TopicRefresh, type Topics, WorkNotes } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { DeadLetters, Redrives } from '@waybill/dead-letter';
import { Erasure } from '@waybill/erasure';
import { Recurring, type TimerAlarm, Timers, TimerService } from '@waybill/timer';
import type { RecurringEncoder } from '@waybill/timer/internal';
import {
  MessageSignatures,
  type Outbox,
  OutboxTransactions,
  type TransactionHandle,
  jsonCodec,
  PayloadContracts,
  Relay,
  type TransactionOutbox,
} from '@waybill/outbox';
import { OutboxBacklogWatch } from '@waybill/outbox/internal';
import { eventGroupOf } from '@waybill/saga';
import { OutboxReplies } from '@waybill/saga/internal';
import { assertMigrated } from '@waybill/schema';
import { stopWithin } from './stop-within.js';
import type { GuardedHandler, GuardedSubscription } from '../guards/guard-windows.js';
import { InstanceConsumers } from './instance-consumers.js';
import { instanceOutbox } from './instance-outbox.js';
import { InstanceGuards } from '../guards/instance-guards.js';
import { HandlerDurations } from '../metrics/handler-durations.js';
import { InstanceHalfMessages } from '../half-messages/instance-half-messages.js';
import { ReplyListener } from '../requests/reply-listener.js';
import { RequestCancellations } from '../requests/request-cancellations.js';
import { openBudgetStore } from './open-budget-store.js';
import { assertDatabases } from './assert-databases.js';
import { AmbientTransaction } from '../transactions/ambient-transaction.js';
import { InstanceRegistry } from './instance-registry.js';
import { InstanceRetention } from './instance-retention.js';
import { InstanceSagas } from '../sagas/instance-sagas.js';
import { loggerOf } from './nest-logger.js';
import { Tracing } from '../tracing/tracing.js';
import { WantedTopics } from './wanted-topics.js';
import { assertModuleOptions } from '../options/assert-module-options.js';
import { type ProcessRoles, processRoles } from '../options/process-roles.js';
import type { WaybillDatabaseOptions, WaybillModuleOptions } from '../options/waybill-options.js';

/** Extra connections for handlers: for the moment in which one connection is returned and another is taken. */
const SPARE_CONNECTIONS = 2;
const DEFAULT_CONCURRENCY = 8;
const DEFAULT_DRAIN_MS = 20_000;

/** What an instance consumes, as its server reports. */
export type Consumption = Pick<ConsumerDependencies, 'subscriptions' | 'patterns' | 'onRebalancing'>;

/** The instances of this process. @internal */
export const instances = new InstanceRegistry<Waybill>();

/** One instance of Waybill in a process: its databases, outbox, relay, retention and consumer. */
export class Waybill {
  readonly outbox: Outbox;
  readonly log: LogEngine;
  readonly topics: Topics;
  readonly bus: PgDatabase;
  readonly database: PgDatabase;
  readonly logger: Logger;
  readonly relay: Relay | undefined;
  /** Encrypts what is stored. */
  readonly sealer: Sealer;
  readonly deadLetters: DeadLetters;
  readonly redrives: Redrives;
  /** Erases subjects' data. */
  readonly erasure: Erasure;
  /** Scheduled messages: cancels, moves and shows them. */
  readonly timers: Timers;
  /** Recurring messages. */
  readonly recurring: Recurring;
  /** Fires timers; undefined if this process does not. */
  readonly scheduler: TimerService | undefined;
  /** Half messages: the service, operators' actions and check-back. */
  readonly halves: InstanceHalfMessages;
  /** Guards of messages, effects and requests. */
  readonly guards: InstanceGuards;
  /** Sagas that this service defines, and its part in other services' sagas. */
  readonly sagas: InstanceSagas;
  /** The transaction of the running code. */
  readonly ambient: AmbientTransaction;
  /** Spans, and the headers that carry them. */
  readonly tracing: Tracing;
  /** Handler durations. */
  readonly handlerDurations = new HandlerDurations();
  /** Topics to create at start if they are missing. */
  readonly wantedTopics: WantedTopics;
  /** Contracts of topics. */
  readonly contracts: PayloadContracts;
  /** Requests that their requesters have cancelled. */
  readonly cancellations: RequestCancellations;
  readonly #roles: ProcessRoles;
  readonly #handlerDatabase: PgDatabase;
  readonly #budgets: RetryBudgetStore;
  readonly #transactions: TransactionRunner;
  readonly #outboxTransactions: OutboxTransactions;
  readonly #backlogWatch: OutboxBacklogWatch;
  readonly #topicRefresh: TopicRefresh;
  readonly #retention: InstanceRetention;
  /** Signs and verifies messages; undefined if signing is off. */
  readonly #signatures: MessageSignatures | undefined;
  #replies: ReplyListener | undefined;
  readonly #consumers = new InstanceConsumers();
  #consuming: Promise<void> | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  /** @throws ConfigurationError */
  constructor(
    readonly name: string,
    readonly options: WaybillModuleOptions,
  ) {
    assertModuleOptions(options);
    this.#roles = processRoles(options);
    this.wantedTopics = new WantedTopics(options.topics);
    this.contracts = new PayloadContracts(options.schemas);
    this.logger = loggerOf(name, options.logger);
    this.database = this.#open(options.database, options.database.connectionsMax ?? 10);
    this.bus =
      options.bus === undefined ? this.database : this.#open(options.bus, options.bus.connectionsMax ?? 10);
    this.log = new PostgresLogEngine(this.bus, { logger: this.logger, service: this.database });
    this.topics = this.log.topics;
    this.cancellations = new RequestCancellations(this.log.signals);
    this.sealer = new Sealer({ ...options, logKeys: this.log.subjectKeys });
    this.deadLetters = new DeadLetters(this.database, this.log, this.sealer);
    this.redrives = new Redrives(this.database, this.log.signals);
    this.erasure = new Erasure(this.database, this.log, this.sealer);
    const bell = new Bell();
    this.ambient = new AmbientTransaction(options);
    this.tracing = new Tracing(options.tracing, options.group ?? '');
    if (options.signing !== undefined) this.#signatures = new MessageSignatures(options.signing);
    const { log, topics, logger, database, ambient, contracts, sealer } = this;
    const traceHeaders = this.tracing.publishHeaders;
    const { codecs, cloudEvents, redis, group = '' } = options;
    const of = { codecs, cloudEvents, database, bell, ambient, traceHeaders, contracts, sealer };
    this.outbox = instanceOutbox({ ...of, options: options.outbox, signatures: this.#signatures });
    this.scheduler = this.#makeScheduler(bell);
    const alarm = this.#makeAlarm(bell);
    const { redisPrefix, hasUpkeep } = this.#roles;
    this.#budgets = openBudgetStore(redis, this.#roles, database, logger);
    this.timers = new Timers(this.database.session, alarm);
    const encode: RecurringEncoder = (message) => this.outbox.encode(message, { isTemplate: true });
    this.recurring = new Recurring(this.database.session, encode, alarm);
    this.#handlerDatabase = this.#open(options.database, handlerConnections(this.#roles));
    this.#transactions = this.#makeRunner();
    this.#outboxTransactions = new OutboxTransactions(this.outbox, this.#transactions);
    const [transactions, outbox] = [this.#transactions, this.outbox];
    const shared = { database, bell, transactions, log, topics, outbox, logger, sealer, codecs, group };
    this.halves = new InstanceHalfMessages({
      ...shared,
      options: options.halfMessages,
      checksByDefault: hasUpkeep,
      alarm,
    });
    this.sagas = new InstanceSagas({
      ...shared,
      options: options.sagas,
      contractOf: (topic) => contracts.find(topic),
      trace: this.tracing,
      replies: new OutboxReplies(outbox),
    });
    const ofGuards = { name, group: options.group, redis, redisPrefix, database, logger, sealer };
    this.guards = new InstanceGuards({
      ...ofGuards,
      options: options.guards,
      preparedStatements: options.outbox?.preparedStatements ?? true,
      databaseName: databaseNameOf(options.database),
    });
    this.relay = this.#makeRelay(bell, alarm);
    this.#topicRefresh = new TopicRefresh(this.topics, log.signals, { logger });
    this.#backlogWatch = new OutboxBacklogWatch(this.database, bell, this.logger);
    this.#retention = this.#makeRetention();
    instances.add(this);
  }

  /**
   * Checks the databases, creates missing topics, and starts relay and retention. Starting twice has no further effect.
   * @throws MigrationRequiredError and its subclasses; DatabaseUnavailableError; ConfigurationError
   */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    await this.tracing.find();
    this.contracts.assertUsable();
    await this.ambient.assertUsable();
    await assertDatabases(this);
    for (const [name, topic] of this.wantedTopics.list()) await this.topics.create(name, topic);
    // Publishing checks topics in the service's database.
    await this.#topicRefresh.read();
    await this.sagas.prepare();
    this.#topicRefresh.start();
    this.log.signals.start();
    this.scheduler?.start();
    this.halves.checker?.start();
    if (this.#roles.hasUpkeep || this.options.guards?.retention !== undefined) this.guards.start();
    this.relay?.service.start();
    this.#backlogWatch.service.start();
    if (this.relay !== undefined) this.#retention.start();
  }

  /**
   * Checks that the guards of handlers recognise a message for as long as it may be delivered again.
   * @throws ConfigurationError that lists every window that is too short
   */
  async assertGuardWindows(handlers: readonly GuardedSubscription[]): Promise<void> {
    const guarded = handlers.map(({ guard, where, subscription }): GuardedHandler => {
      const { retry, maxProcessingMs } = subscription;
      return { guard, where, retry, maxProcessingMs };
    });
    const topics = guarded.length === 0 ? [] : await this.topics.list();
    const retentionMs = Math.max(0, ...topics.map((topic) => topic.retentionMs));
    this.guards.assertWindows(guarded, {
      logMs: retentionMs + this.#retention.log.bucketMs,
      deadLettersMs: this.#retention.deadLetters.closedMs,
    });
  }

  /** Starts consuming. The server calls it when it listens. */
  consume(consumption: Consumption): Promise<void> {
    if (this.#consuming !== undefined || this.#stopping !== undefined) {
      const problem = `instance ${this.name} is already consuming or is stopping`;
      return Promise.reject(new ConfigurationError('Waybill cannot consume', [problem]));
    }
    return (this.#consuming = this.#consume(consumption));
  }

  async #consume({ patterns = [], ...consumption }: Consumption): Promise<void> {
    await this.start();
    const { consumer } = this.#roles;
    if (consumer === undefined) return;
    const { replies, events } = await this.sagas.carryOn();
    const subscriptions = [...consumption.subscriptions, ...replies];
    if (subscriptions.length + patterns.length === 0) return;
    this.sagas.serve();
    const { group, codecs, outbox } = this.options;
    if (group === undefined)
      throw new ConfigurationError('Waybill cannot consume', ['the module has handlers but no group']);
    await assertMigrated(this.#transactions.session, 'service');
    const { tracing, log, database, logger, sealer } = this;
    const options = { preparedStatements: outbox?.preparedStatements, ...consumer };
    const transactions = this.#transactions;
    const dependencies = { options, codecs, tracing, log, database, transactions, logger, sealer };
    const shared = { ...dependencies, budgets: this.#budgets, signatures: this.#signatures };
    await this.#consumers.start({ ...shared, ...consumption, group, subscriptions, patterns });
    if (events.length > 0)
      await this.#consumers.start({ ...shared, group: eventGroupOf(group), subscriptions: events });
  }

  /**
   * Runs a business transaction in the same way as handlers' transactions, and sends its messages together with COMMIT.
   * Errors as of {@link OutboxTransactions.run}; the time limit is 30 s.
   *
   * @typeParam Handle type of the transaction's handle; `Prisma.TransactionClient` with Prisma
   */
  transaction<Handle = PgTransactionHandle, T = unknown>(
    work: (tx: Handle, outbox: TransactionOutbox) => Promise<T>,
  ): Promise<T> {
    return this.#outboxTransactions.run((tx, outbox) =>
      this.ambient.within(tx as TransactionHandle, tx, () => work(tx as Handle, outbox)),
    );
  }

  /** Receives the replies to requests of this process. @internal */
  listenForReplies(): ReplyListener {
    const { log, database, logger, name, options, sealer } = this;
    const topic = `${options.group ?? name}.replies`;
    const codec = own(options.codecs, topic) ?? jsonCodec;
    const signatures = this.#signatures;
    const dependencies = { log, database, topic, codec, sealer, logger, signatures };
    return (this.#replies ??= new ReplyListener(dependencies));
  }

  /** Number of open dead letters that retention has removed in this process. */
  get expiredDeadLetters(): number {
    return this.#retention.deadLetters.expired;
  }

  /** The status of its consumers; undefined if it does not consume. */
  get consumerStatus(): ConsumerStatus | undefined {
    return this.#consumers.status;
  }

  /** Stops consuming: handlers finish within `consumer.drainMs`, positions are stored. */
  async stopConsuming(): Promise<void> {
    await this.#consuming?.catch(() => {});
    await this.#consumers.stop();
  }

  /** Stops everything and closes Waybill's connections. Stopping twice has no further effect. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    instances.remove(this);
    const drainMs = this.#roles.consumer?.drainMs ?? DEFAULT_DRAIN_MS;
    await stopWithin(drainMs, this.#stopParts(), this.#databases, this.logger);
  }

  get #databases(): readonly PgDatabase[] {
    return [this.#handlerDatabase, this.bus, this.database];
  }

  async #stopParts(): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.stopConsuming();
    await this.sagas.stop();
    await this.#replies?.stop();
    await this.halves.checker?.stop();
    await this.relay?.service.stop();
    await this.relay?.drain();
    await this.#backlogWatch.service.stop();
    await this.scheduler?.stop();
    await this.#retention.stop();
    await this.guards.stop();
    await this.#budgets.close();
    await this.#topicRefresh.stop();
    await this.log.signals.stop();
    await Promise.all(this.#databases.map((database) => database.close()));
  }

  /** Nest's hook: starts everything that has no handlers with the application. */
  async onApplicationBootstrap(): Promise<void> {
    await this.start();
  }

  /** Nest's hook; it runs before that of modules that Waybill's options import, such as Prisma's. */
  async onModuleDestroy(): Promise<void> {
    await this.stop();
  }

  #makeRetention(): InstanceRetention {
    const { database, bus, logger } = this;
    const { retention: options } = this.options;
    return new InstanceRetention({ options, database, bus, sagas: this.sagas.retention, logger });
  }

  #makeRunner(): TransactionRunner {
    const { transactions, outbox } = this.options;
    const prepared = outbox?.preparedStatements ?? true;
    return (
      transactions?.(this.database.schema, prepared) ??
      new PgTransactionRunner(this.#handlerDatabase, prepared)
    );
  }

  #makeScheduler(bell: Bell): TimerService | undefined {
    const { scheduler } = this.#roles;
    if (scheduler === undefined) return undefined;
    const { redis } = this.options;
    const { database, log, logger } = this;
    return new TimerService(
      { database, log, bell, logger, ...(redis === undefined ? {} : { redis }) },
      scheduler,
    );
  }

  /** Processes that relay and fire timers are told where this one does not. */
  #makeAlarm(bell: Bell): TimerAlarm {
    const work = new WorkNotes(this.database, this.log.signals.notes, { logger: this.logger });
    if (this.#roles.relay === undefined) bell.onRing(() => work.announce());
    return this.scheduler ?? { armed: () => work.announce() };
  }

  #makeRelay(bell: Bell, alarm: TimerAlarm): Relay | undefined {
    const { relay } = this.#roles;
    if (relay === undefined) return undefined;
    const { database, log, logger, tracing: trace } = this;
    return new Relay({ database, log, bell, logger, alarm, trace }, relay);
  }

  #open(database: WaybillDatabaseOptions, connectionsMax: number): PgDatabase {
    return new PgDatabase({
      ...database,
      connectionsMax,
      applicationName: this.name === 'default' ? 'waybill' : `waybill ${this.name}`,
      logger: this.logger,
    });
  }
}

function handlerConnections({ consumer }: ProcessRoles): number {
  return (consumer?.maxConcurrency ?? DEFAULT_CONCURRENCY) + SPARE_CONNECTIONS;
}

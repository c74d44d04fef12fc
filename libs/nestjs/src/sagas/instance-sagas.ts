import type { Subscription } from '@waybill/consumer';
import {
  type BackgroundService,
  type Logger,
  type PgDatabase,
  resolveOptions,
  type TransactionRunner,
} from '@waybill/kernel';
import { Barrier } from '@waybill/guard';
import type { Sealer, Topics } from '@waybill/log';
import type { Codec, Outbox, PayloadContract } from '@waybill/outbox';
import {
  type Replies,
  SagaDefinitions,
  SagaOperations,
  SagaEngine,
  SagaLockOperations,
  SagaLocks,
  SagaRetention,
  Sagas,
  SagaLoop,
  type UnclaimedHandler,
  type UnservedSagas,
  Tcc,
} from '@waybill/saga';
import { replyTopicOf, SagaCommandServer, type SagaTrace } from '@waybill/saga/internal';
import { type ModuleSagaOptions, SAGA_SPECS } from '../options/saga-options.js';

/** What the sagas of an instance work with. */
export interface InstanceSagasDependencies {
  readonly options: ModuleSagaOptions | undefined;
  /** The service's name: replies to its sagas go to a topic named after it. */
  readonly group: string;
  /** The database of sagas, locks and the barrier: the service's own. */
  readonly database: PgDatabase;
  readonly transactions: TransactionRunner;
  readonly topics: Topics;
  readonly outbox: Outbox;
  /** How this instance's replies leave its database. */
  readonly replies: Replies;
  readonly trace: SagaTrace;
  readonly logger: Logger;
  readonly codecs: Readonly<Record<string, Codec>> | undefined;
  readonly sealer: Sealer;
  readonly contractOf: (topic: string) => PayloadContract | undefined;
}

/** Sagas of one instance: those that it defines, and its part in others' sagas. */
export class InstanceSagas {
  /** Filled by the finders. */
  readonly definitions = new SagaDefinitions();
  /** Handlers of unclaimed saga events, by topic. */
  readonly unclaimed = new Map<string, UnclaimedHandler>();
  /** Find the application's sagas and their parts. */
  readonly finders: (() => void)[] = [];
  /** Starts sagas and sends them signals. */
  readonly sagas: Sagas;
  /** Runs TCC transactions. */
  readonly tcc: Tcc;
  readonly operations: SagaOperations;
  readonly lockOperations: SagaLockOperations;
  readonly locks: SagaLocks;
  readonly participant: SagaCommandServer;
  readonly retention: SagaRetention;
  readonly #service: SagaLoop;
  readonly #sweeper: BackgroundService;

  /** @throws ConfigurationError */
  constructor(private readonly dependencies: InstanceSagasDependencies) {
    const { group, database, transactions, topics, outbox, replies, trace, logger } = dependencies;
    const { codecs, sealer } = dependencies;
    const { locks, retention, keyMaxAgeMs, ...options } = dependencies.options ?? {};
    const { definitions } = this;
    const engine = new SagaEngine({
      definitions,
      outbox,
      group,
      logger,
      trace,
      sealer,
      ...resolveOptions('sagas', SAGA_SPECS, { keyMaxAgeMs }),
      ...(options.transitionMs !== undefined && { transitionMs: options.transitionMs }),
    });
    this.sagas = new Sagas({ engine, schema: database.schema, outbox, transactions });
    this.tcc = new Tcc({ sagas: this.sagas, transactions });
    this.operations = new SagaOperations({ database, sealer });
    this.lockOperations = new SagaLockOperations(database);
    this.locks = new SagaLocks(replies, locks, { codecs: codecs ?? {}, sealer });
    this.participant = new SagaCommandServer({
      replies,
      locks: this.locks,
      findTopic: (name) => topics.find(name),
      barrier: new Barrier({}, sealer),
    });
    this.retention = new SagaRetention(database, retention, logger);
    const { unclaimed } = this;
    const { contractOf } = dependencies;
    const service = { engine, definitions, transactions, logger, codecs, contractOf, unclaimed };
    this.#service = new SagaLoop(service, options);
    this.#sweeper = this.locks.sweeper(
      transactions,
      (session, control, reason) => this.participant.rejectCommand(session, control, reason),
      logger,
    );
  }

  /** How replies leave this instance's database; also replies to requests other than saga commands. */
  get replies(): Replies {
    return this.dependencies.replies;
  }

  /**
   * Finds the sagas of this instance and creates the topics that they need.
   * @throws ConfigurationError
   */
  async prepare(): Promise<void> {
    for (const find of this.finders) find();
    const { definitions } = this;
    if (definitions.size === 0) return;
    const { group, topics } = this.dependencies;
    for (const topic of [replyTopicOf(group), ...definitions.topics(), ...definitions.eventTopics()])
      await topics.create(topic);
  }

  /** Creates the topics of commands that this instance handles: it may start before the saga's service does. */
  async createCommandTopics(topics: readonly string[]): Promise<void> {
    for (const topic of topics) await this.dependencies.topics.create(topic);
  }

  /**
   * Starts running the sagas of this instance.
   * @returns the subscriptions that run them, and those to events; none if there are no sagas
   * @throws ConfigurationError if unfinished sagas have lost their definition or call hosts that are not listed
   */
  async carryOn(): Promise<{ readonly replies: Subscription[]; readonly events: Subscription[] }> {
    // A service that no longer defines sagas may still have unfinished ones.
    await this.#service.assertUsable();
    if (this.definitions.size === 0) return { replies: [], events: [] };
    this.#service.start();
    return { replies: this.#service.subscriptions(), events: this.#service.events.subscriptions() };
  }

  /** Unfinished sagas that no process of the service can run, because none has their version. */
  async unserved(): Promise<readonly UnservedSagas[]> {
    return this.#service.unserved();
  }

  /** Starts watching commands that wait for an entity. */
  serve(): void {
    this.#sweeper.start();
  }

  /** Messages to sagas that this process has dropped because its own service did not send them. */
  get refused(): number {
    return this.#service.refusals.count;
  }

  /** Events that this process could not pass to a step because they do not name their saga. */
  get skippedEvents(): number {
    return this.#service.events.skipped;
  }

  async stop(): Promise<void> {
    await this.#service.stop();
    await this.#sweeper.stop();
  }
}

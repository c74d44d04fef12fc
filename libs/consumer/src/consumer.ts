import { randomInt } from 'node:crypto';
import {
  BackgroundService,
  Bell,
  type IdlePace,
  type Clock,
  ConfigurationError,
  describeError,
  invariant,
  type Logger,
  OffsetOutOfRangeError,
  type PassResult,
  ProgressWentBackError,
  resolveOptions,
  systemClock,
} from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import { bindService, type Grant, type Membership, type ReportedPosition, Sealer } from '@waybill/log';
import { PostgresBudgetStore } from './policy/retry-budget-store.js';
import { databaseIdentity } from '@waybill/schema';
import { ConsumerCounters } from './retry/consumer-counters.js';
import {
  byTopic,
  CONSUMER_SPECS,
  type ConsumerOptions,
  type ConsumerDependencies,
  type ConsumerStatus,
} from './consumer-options.js';
import type { LaneContext } from './retry/lane-context.js';
import { LaneOpener } from './lane/lane-opener.js';
import { OwnedPartitions } from './lane/owned-partitions.js';
import { fetchPace } from './lane/fetch-pace.js';
import type { PartitionLane } from './lane/partition-lane.js';
import { RedriveWatch } from './lane/redrive-watch.js';
import { RetryBudget, type RetryBudgetOptions } from './policy/retry-budget.js';
import { Permits } from './delivery/permits.js';
import type { Subscription } from './handler/subscription.js';
import { TopicPatterns } from './handler/topic-pattern.js';
import { TopicWatch } from './handler/topic-watch.js';
import { ProgressOwners } from './progress/progress-owners.js';
import { ServiceWatch } from './progress/service-watch.js';
import { ensureOwnGroup, readIncarnation } from './statements.generated.js';

/** A consumer that has not been able to read for this many leases gives up its partitions. */
const BLIND_LEASES = 3;
/** Interval between two reports of positions to the log, in milliseconds. */
const REPORT_MS = 5_000;
/** Interval between two saves of changed positions. */
const TICK_MS = 1_000;
/** Shortest time between two reads of the log without a signal, in milliseconds. */
const POLL_MIN_MS = 50;
/** Maximum number of partitions that one statement reads. */
const FETCHED_TOGETHER = 1_000;

/** A member of a consumer group: owns partitions, fetches their records and runs the handlers. */
export class Consumer {
  readonly #options;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #partitions: OwnedPartitions;
  readonly #membership: Membership;
  readonly #fetcher: BackgroundService;
  readonly #ticker: BackgroundService;
  readonly #pace: IdlePace;
  readonly #permits: Permits;
  /** Grows when topics that match a pattern are created. */
  readonly #byTopic: Map<string, Subscription>;
  readonly #watch: TopicWatch;
  /** Undefined where the log is in the service's database: a member that reaches one reaches the other. */
  readonly #serviceWatch: ServiceWatch | undefined;
  readonly #counters = new ConsumerCounters();
  readonly #retryBudget: RetryBudgetOptions | undefined;
  #opener: LaneOpener | undefined;
  #redrives: RedriveWatch | undefined;
  #unsubscribe: (() => void) | undefined;
  /** Lanes that were full at the last pass; they fetch again when they have room. */
  #full: readonly PartitionLane[] = [];
  /** Partitions that are being given up. */
  #leaving = 0;
  #serviceId = '';
  /** The id of the group in the service's database. */
  #groupId = -1;
  /** When the server of the service's database was started, as far as this process has seen. */
  #incarnation = 0;
  /** Positions as they were told to the log. */
  readonly #reported = new Map<number, ReportedPosition>();
  /** Positions of partitions that were given up since. */
  readonly #left = new Map<number, ReportedPosition>();
  #reportedAt = 0;
  #stopping: Promise<void> | undefined;

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: ConsumerDependencies,
    options: ConsumerOptions = {},
  ) {
    const { retryBudget, ...rest } = options;
    this.#retryBudget = retryBudget;
    this.#options = resolveOptions('consumer', CONSUMER_SPECS, rest, ({ leaseMs, heartbeatMs }) =>
      leaseMs >= 3 * heartbeatMs
        ? []
        : [`leaseMs (${leaseMs}) must be at least three times heartbeatMs (${heartbeatMs})`],
    );
    this.#byTopic = byTopic(dependencies.subscriptions);
    this.#clock = dependencies.clock ?? systemClock;
    this.#logger = guardLogger(dependencies.logger);
    this.#permits = new Permits(this.#options.maxConcurrency, () => this.#pump());
    const service = { clock: this.#clock, logger: this.#logger };
    const isAnnounced = (): boolean => dependencies.log.signals.listening && this.#partitions.areOpen;
    this.#pace = fetchPace(this.#options, isAnnounced, this.#clock);
    this.#watch = new TopicWatch({
      ...service,
      group: dependencies.group,
      patterns: new TopicPatterns(dependencies.patterns ?? []),
      byTopic: this.#byTopic,
      log: dependencies.log,
    });
    this.#fetcher = new BackgroundService({
      ...service,
      name: `the consumer of group ${dependencies.group}`,
      runOnce: () => this.#fetch(),
      // Signals announce appended records; another read right away would find nothing.
      idleMinMs: Math.min(POLL_MIN_MS, this.#options.pollMaxMs),
      idleMaxMs: this.#pace,
      bell: new Bell(),
    });
    this.#ticker = new BackgroundService({
      ...service,
      name: `the positions of group ${dependencies.group}`,
      runOnce: () => this.#tick(),
      idleMinMs: TICK_MS,
      idleMaxMs: TICK_MS,
    });
    const { leaseMs, heartbeatMs } = this.#options;
    const { group, database, log } = dependencies;
    if (log.handOverWithin(database) === undefined)
      this.#serviceWatch = new ServiceWatch({ ...service, group, database, leaseMs });
    this.#membership = log.join({
      ...service,
      group,
      serviceId: () => this.#serviceId,
      topics: () => (this.#isBlind || this.#isCutOff ? [] : [...this.#byTopic.keys()]),
      leaseMs,
      heartbeatMs,
      listener: {
        onAssigned: (grant) => this.#onAssigned(grant),
        onRevoked: (grant) => this.#onRevoked(grant),
        onLost: (grant) => this.#onLost(grant),
      },
    });
    const membership = this.#membership;
    const owners = new ProgressOwners({ database, membership, groupId: () => this.#groupId });
    this.#partitions = new OwnedPartitions({ ...service, group, log, membership, owners });
  }

  /**
   * Joins the group and starts consuming.
   * @throws ConfigurationError when handlers write to another database than that of the group's progress
   * @throws BusMismatchError, GroupServiceMismatchError
   */
  async start(): Promise<void> {
    const { database, log } = this.dependencies;
    await this.#assertOneDatabase();
    const { busId, logEpoch } = await log.identity();
    this.#serviceId = (await bindService(database.session, busId, logEpoch)).serviceId;
    await this.#ensureGroup();
    await this.#watch.start();
    await this.#membership.start();
    const context = this.#laneContext();
    const { startFrom } = this.#options;
    this.#opener = new LaneOpener(context, this.#byTopic, log, this.#membership, startFrom);
    this.#redrives = new RedriveWatch({
      ...context,
      session: database.session,
      signals: log.signals,
      lanes: () => this.#partitions.lanes(),
      wake: () => {
        this.#partitions.stirAll();
        this.#pump();
      },
    });
    this.#redrives.start();
    this.#unsubscribe = log.signals.subscribe('appended', this.#fetcher.bell);
    this.#fetcher.start();
    this.#ticker.start();
    this.#serviceWatch?.start();
  }

  /**
   * Notes the group's id in the service's database, and the server.
   * @throws ProgressWentBackError when the database went back, and has given the id to another group since
   */
  async #ensureGroup(): Promise<void> {
    const { database, group } = this.dependencies;
    const known = this.#groupId === -1 ? null : this.#groupId;
    const [own] = await database.session.run(ensureOwnGroup, group, known);
    invariant(own !== undefined, 'group_ensure returned no row');
    const { groupId, incarnation } = own;
    if (groupId === null || (known !== null && groupId !== known))
      throw new ProgressWentBackError(`Group ${group} has another id in this database than before`);
    this.#groupId = groupId;
    this.#incarnation = incarnation;
  }

  /** What a handler writes and the group's progress must be in one transaction. */
  async #assertOneDatabase(): Promise<void> {
    const { database, transactions, group } = this.dependencies;
    const [own, handlers] = await Promise.all([
      databaseIdentity(database.session),
      databaseIdentity(transactions.session),
    ]);
    if (own !== handlers)
      throw new ConfigurationError(`Group ${group} cannot consume`, [
        "its handlers' transactions are in another database than the service's: a delivery takes effect together with the " +
          "group's progress. Give the database that handlers write to as `database`, and that of the log as `bus`",
      ]);
  }

  #laneContext(): LaneContext {
    const { database, transactions, group, budgets, signatures } = this.dependencies;
    const { sealer = Sealer.none, codecs = {} } = this.dependencies;
    const groupId = this.#groupId;
    const { maxCrashes, maxParked, preparedStatements: prepared } = this.#options;
    const wake = (): void => this.#pump();
    const service = { clock: this.#clock, logger: this.#logger };
    const store = budgets ?? new PostgresBudgetStore(database.session);
    return {
      ...service,
      group,
      groupId,
      databases: { database, transactions, prepared, signatures, sealer, codecs },
      topics: this.dependencies.log.topics,
      permits: this.#permits,
      random: () => randomInt(1_000_000) / 1_000_000,
      counters: this.#counters,
      budget:
        this.#retryBudget &&
        new RetryBudget({ id: groupId, name: group }, store, this.#retryBudget, {
          ...service,
          onFilled: wake,
        }),
      maxCrashes,
      maxParked,
      wake,
      onAttemptOutcome: this.dependencies.onAttemptOutcome,
    };
  }

  /** Lets handlers finish (within `drainMs`), stores positions, and leaves the group. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#watch.stop();
    await this.#fetcher.stop();
    await this.#redrives?.stop();
    await this.#membership.stop();
    await this.#ticker.stop();
    await this.#serviceWatch?.stop();
    await this.#reportPositions().catch((error: unknown) =>
      this.#logger.debug(`the last positions were not reported: ${describeError(error)}`),
    );
  }

  get status(): ConsumerStatus {
    return {
      running: this.#fetcher.running,
      partitions: this.#partitions.size,
      failures: this.#partitions.failures,
      leaseLapsed: this.#fetcher.running && this.#membership.leaseLapsed,
      lastReadAgeMs: this.#fetcher.running ? this.#fetcher.lastPassAgeMs : undefined,
      parked: this.#partitions.lanes().reduce((sum, lane) => sum + lane.parkedCount, 0),
      counts: this.#counters.counts,
      circuits: this.#opener?.circuits ?? {},
    };
  }

  async #onAssigned(grant: Grant): Promise<void> {
    this.#partitions.assign(grant);
    this.#fetcher.bell.ring();
  }

  async #onRevoked({ partitionId }: Grant): Promise<void> {
    const lane = this.#partitions.take(partitionId);
    this.#leaving += 1;
    if (this.#leaving === 1) this.dependencies.onRebalancing?.(true);
    await lane?.drain(this.#options.drainMs);
    if (lane !== undefined) this.#left.set(partitionId, lane.report);
    this.#leaving -= 1;
    if (this.#leaving === 0) this.dependencies.onRebalancing?.(false);
  }

  async #onLost({ partitionId }: Grant): Promise<void> {
    this.#partitions.take(partitionId)?.abort();
  }

  /**
   * Whether the log has been unreadable for so long that other members should take over: the consumer then claims no
   * partition.
   */
  get #isBlind(): boolean {
    return this.#fetcher.running && (this.#fetcher.lastPassAgeMs ?? 0) > BLIND_LEASES * this.#options.leaseMs;
  }

  /** Whether the log is reached, and the service's database has not been for a lease: others may do better. */
  get #isCutOff(): boolean {
    return this.#serviceWatch?.isCutOff ?? false;
  }

  /** One pass: opens lanes that are due, fetches for those with room, and starts what may run. */
  async #fetch(): Promise<PassResult> {
    const moreAreDue = this.#opener !== undefined && (await this.#partitions.openDue(this.#opener));
    const lanes = this.#partitions.lanes();
    const hungry = lanes.filter((lane) => lane.wanted !== undefined);
    // Without reading anything, it would not notice that the log is readable again.
    if (this.#isBlind) await this.dependencies.log.topics.count();
    let again = moreAreDue;
    for (let next = 0; next < hungry.length; next += FETCHED_TOGETHER) {
      if (await this.#fetchSome(hungry.slice(next, next + FETCHED_TOGETHER))) again = true;
    }
    this.#full = lanes.filter((lane) => lane.wanted === undefined);
    this.#pump();
    return again ? 'again' : 'idle';
  }

  /** Fetches for some lanes; resolves to whether to read again at once. */
  async #fetchSome(lanes: readonly PartitionLane[]): Promise<boolean> {
    try {
      const positions = lanes.flatMap(({ partitionId, wanted: offset }) =>
        offset === undefined ? [] : [{ partitionId, offset }],
      );
      const fetched = await this.dependencies.log.fetch(positions);
      if (await this.#partitions.follow(lanes, fetched.history)) return true;
      for (const batch of fetched.batches) this.#partitions.feed(batch);
      if (fetched.batches.length > 0) {
        this.#pace.worked();
        this.#partitions.pump();
      }
      return fetched.mayHaveMore;
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      const topic = await this.dependencies.log.topics.get(error.topic);
      this.#partitions.fail(topic.partitionIds[error.partition] ?? -1, error);
      return true;
    }
  }

  #pump(): void {
    this.#partitions.pump();
    if (this.#full.some((lane) => lane.wanted !== undefined)) {
      this.#full = [];
      this.#fetcher.bell.ring();
    }
  }

  async #tick(): Promise<PassResult> {
    for (const lane of this.#partitions.lanes()) if (lane.hasMoved) await lane.tick();
    const now = this.#clock.monotonic();
    if (now - this.#reportedAt >= REPORT_MS) {
      this.#reportedAt = now;
      await this.#followDatabase();
      await this.#reportPositions();
    }
    return 'idle';
  }

  /** Reads the progress again after the service's database has failed over, or its server was started again. */
  async #followDatabase(): Promise<void> {
    const [server] = await this.dependencies.database.session.run(readIncarnation);
    if (server === undefined || server.incarnation === this.#incarnation) return;
    await this.dependencies.log.topics.tellAgain();
    await this.#ensureGroup();
    this.#partitions.moveTo(this.#incarnation);
    this.#fetcher.bell.ring();
  }

  /** Tells the log the positions that have changed since the last time. */
  async #reportPositions(): Promise<void> {
    const changed = new Map(this.#left);
    for (const { report } of this.#partitions.lanes()) {
      const before = this.#reported.get(report.partitionId);
      if (before?.ownerEpoch !== report.ownerEpoch || before.position !== report.position)
        changed.set(report.partitionId, report);
    }
    await this.#membership.reportPositions([...changed.values()]);
    for (const [partitionId, report] of changed) {
      this.#reported.set(partitionId, report);
      if (this.#left.get(partitionId) === report) this.#left.delete(partitionId);
    }
  }
}

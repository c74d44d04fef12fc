import { randomInt } from 'node:crypto';
import { Inbox } from '@waybill/guard';
import {
  BackgroundService,
  Bell,
  type Clock,
  type Logger,
  OffsetOutOfRangeError,
  type PassResult,
  resolveOptions,
  systemClock,
} from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import { type FetchPosition, type Membership, type Ownership, Sealer } from '@waybill/log';
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
import type { PartitionLane } from './lane/partition-lane.js';
import { RedriveWatch } from './lane/redrive-watch.js';
import { RetryBudget, type RetryBudgetOptions } from './policy/retry-budget.js';
import { Permits } from './delivery/permits.js';
import type { Subscription } from './handler/subscription.js';
import { TopicPatterns } from './handler/topic-pattern.js';
import { TopicWatch } from './handler/topic-watch.js';
import { oldestBucket } from './statements.generated.js';

/** A consumer that has not been able to read for this many leases gives up its partitions. */
const BLIND_LEASES = 3;
/** Interval between removals of old inbox entries. */
const INBOX_MS = 60_000;
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
  readonly #permits: Permits;
  /** Grows when topics that match a pattern are created. */
  readonly #byTopic: Map<string, Subscription>;
  readonly #watch: TopicWatch;
  readonly #counters = new ConsumerCounters();
  readonly #retryBudget: RetryBudgetOptions | undefined;
  #opener: LaneOpener | undefined;
  #redrives: RedriveWatch | undefined;
  #unsubscribe: (() => void) | undefined;
  /** Lanes that were full at the last pass; they fetch again when they have room. */
  #full: readonly PartitionLane[] = [];
  /** Partitions that are being given up. */
  #leaving = 0;
  #inboxRecycledAt = 0;
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
      idleMaxMs: this.#options.pollMaxMs,
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
    this.#membership = dependencies.log.join({
      ...service,
      group: dependencies.group,
      topics: () => (this.#isBlind ? [] : [...this.#byTopic.keys()]),
      leaseMs,
      heartbeatMs,
      listener: {
        onAssigned: (ownership) => this.#onAssigned(ownership),
        onRevoked: (ownership) => this.#onRevoked(ownership),
        onLost: (ownership) => this.#onLost(ownership),
      },
    });
    const { group } = dependencies;
    const { topics } = dependencies.log;
    this.#partitions = new OwnedPartitions({ ...service, group, topics, membership: this.#membership });
  }

  /** Joins the group and starts consuming. */
  async start(): Promise<void> {
    const { database, log, transactions } = this.dependencies;
    const [own, handlers] = await Promise.all([
      databaseIdentity(database.session),
      databaseIdentity(transactions.session),
    ]);
    await this.#watch.start();
    await this.#membership.start();
    const context = this.#laneContext(own === handlers ? undefined : own);
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
  }

  #laneContext(inboxFor: string | undefined): LaneContext {
    const { database, transactions, group, budgets, signatures } = this.dependencies;
    const { sealer = Sealer.none, codecs = {} } = this.dependencies;
    const { groupId } = this.#membership;
    const { maxCrashes, maxParked, preparedStatements: prepared } = this.#options;
    const wake = (): void => this.#pump();
    const service = { clock: this.#clock, logger: this.#logger };
    const store = budgets ?? new PostgresBudgetStore(database.session);
    return {
      ...service,
      group,
      groupId,
      databases: { database, transactions, inboxFor, prepared, signatures, sealer, codecs },
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

  async #onAssigned(ownership: Ownership): Promise<void> {
    this.#partitions.assign(ownership);
    this.#fetcher.bell.ring();
  }

  async #onRevoked({ partitionId }: Ownership): Promise<void> {
    const lane = this.#partitions.take(partitionId);
    this.#leaving += 1;
    if (this.#leaving === 1) this.dependencies.onRebalancing?.(true);
    await lane?.drain(this.#options.drainMs);
    this.#leaving -= 1;
    if (this.#leaving === 0) this.dependencies.onRebalancing?.(false);
  }

  async #onLost({ partitionId }: Ownership): Promise<void> {
    this.#partitions.take(partitionId)?.abort();
  }

  /**
   * Whether the log has been unreadable for so long that other members should take over: the consumer then claims no
   * partition.
   */
  get #isBlind(): boolean {
    return this.#fetcher.running && (this.#fetcher.lastPassAgeMs ?? 0) > BLIND_LEASES * this.#options.leaseMs;
  }

  /** One pass: opens lanes that are due, fetches for those with room, and starts what may run. */
  async #fetch(): Promise<PassResult> {
    const moreAreDue = this.#opener !== undefined && (await this.#partitions.openDue(this.#opener));
    const positions: FetchPosition[] = [];
    const lanes = this.#partitions.lanes();
    for (const lane of lanes) {
      const offset = lane.wanted;
      if (offset !== undefined) positions.push({ partitionId: lane.partitionId, offset });
    }
    // Without reading anything, it would not notice that the log is readable again.
    if (this.#isBlind) await this.dependencies.log.topics.count();
    let again = moreAreDue;
    for (let next = 0; next < positions.length; next += FETCHED_TOGETHER) {
      if (await this.#fetchSome(positions.slice(next, next + FETCHED_TOGETHER))) again = true;
    }
    this.#full = lanes.filter((lane) => lane.wanted === undefined);
    this.#pump();
    return again ? 'again' : 'idle';
  }

  /** Fetches for some lanes; resolves to whether to read again at once. */
  async #fetchSome(positions: readonly FetchPosition[]): Promise<boolean> {
    try {
      const fetched = await this.dependencies.log.fetch(positions);
      for (const batch of fetched.batches) this.#partitions.feed(batch);
      if (fetched.batches.length > 0) this.#partitions.pump();
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
    await this.#recycleInbox();
    return 'idle';
  }

  /** Removes inbox entries of records that the log can no longer deliver. */
  async #recycleInbox(): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#opener?.usesInbox !== true || now - this.#inboxRecycledAt < INBOX_MS) return;
    this.#inboxRecycledAt = now;
    const { database, transactions } = this.dependencies;
    const [row] = await database.session.run(oldestBucket);
    await new Inbox().recycle(transactions.session, row?.bucketSeq ?? 0, this.#logger);
  }
}

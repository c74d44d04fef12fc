import { randomInt } from 'node:crypto';
import { InboxGuard } from '@waybill/inbox';
import {
  BackgroundService,
  Bell,
  type Clock,
  describeError,
  isFenced,
  type Logger,
  OffsetOutOfRangeError,
  type PassResult,
  resolveOptions,
  guardLogger,
  systemClock,
} from '@waybill/kernel';
import {
  type Fetched,
  type FetchedBatch,
  GroupMembership,
  LogReader,
  oldestBucketSeq,
  type Ownership,
} from '@waybill/log';
import { PostgresBudgetStore } from '@waybill/schedule';
import { databaseIdentity } from '@waybill/schema';
import { ConsumerCounters } from './consumer-counters.js';
import {
  byTopic,
  CONSUMER_SPECS,
  type ConsumerOptions,
  type ConsumerParts,
  type ConsumerStatus,
} from './consumer-options.js';
import type { LaneContext } from './lane-context.js';
import { LaneOpener } from './lane-opener.js';
import type { PartitionLane } from './partition-lane.js';
import { RedriveWatch } from './redrive-watch.js';
import { RetryBudget, type RetryBudgetOptions } from './retry-budget.js';
import { type Seat, seatFor } from './seat.js';
import { Slots } from './slots.js';
import type { Subscription } from './subscription.js';
import { TopicPatterns } from './topic-pattern.js';
import { TopicWatch } from './topic-watch.js';

/** A lane that has run for so long begins with the shortest wait again when it fails. */
const FORGET_FAILURES_MS = 60_000;
/** A consumer that could not read for as many leases gives its partitions up. */
const BLIND_LEASES = 3;
/** Longest wait before a lane that has failed is opened again. */
const LONGEST_REOPEN_MS = 5_000;
/** So often in a row a lane may be fenced before that counts as a failure. */
const HAND_OVER_TRIES = 3;
/** How often the inbox is looked through for what it may forget. */
const INBOX_MS = 60_000;
/** How often positions are stored that have moved. */
const TICK_MS = 1_000;
/** Shortest time between two looks at the log without a signal, in milliseconds. */
const POLL_MIN_MS = 50;

/** A member of a consumer group: owns partitions, fetches their records and runs the handlers. */
export class Consumer {
  readonly #options;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #seats = new Map<number, Seat>();
  readonly #reader: LogReader;
  readonly #membership: GroupMembership;
  readonly #fetcher: BackgroundService;
  readonly #ticker: BackgroundService;
  readonly #slots: Slots;
  /** Grows when topics appear that match a pattern. */
  readonly #byTopic: Map<string, Subscription>;
  readonly #watch: TopicWatch;
  readonly #counters = new ConsumerCounters();
  readonly #retryBudget: RetryBudgetOptions | undefined;
  #opener: LaneOpener | undefined;
  #redrives: RedriveWatch | undefined;
  #unsubscribe: (() => void) | undefined;
  #mayHaveMore = false;
  /** Partitions that are being given away. */
  #leaving = 0;
  #inboxRecycledAt = 0;
  #stopping: Promise<void> | undefined;

  /** @throws ConfigurationError */
  constructor(
    private readonly parts: ConsumerParts,
    options: ConsumerOptions = {},
  ) {
    const { retryBudget, ...rest } = options;
    this.#retryBudget = retryBudget;
    this.#options = resolveOptions('consumer', CONSUMER_SPECS, rest, ({ leaseMs, heartbeatMs }) =>
      leaseMs >= 3 * heartbeatMs
        ? []
        : [`leaseMs (${leaseMs}) must be at least three times heartbeatMs (${heartbeatMs})`],
    );
    this.#byTopic = byTopic(parts.subscriptions);
    this.#clock = parts.clock ?? systemClock;
    this.#logger = guardLogger(parts.logger);
    this.#reader = new LogReader(parts.bus, parts.topics);
    this.#slots = new Slots(this.#options.maxConcurrency, () => this.#pump());
    const service = { clock: this.#clock, logger: this.#logger };
    this.#watch = new TopicWatch({
      ...service,
      group: parts.group,
      patterns: new TopicPatterns(parts.patterns ?? []),
      byTopic: this.#byTopic,
      topics: parts.topics,
      signals: parts.signals,
    });
    this.#fetcher = new BackgroundService({
      ...service,
      name: `the consumer of group ${parts.group}`,
      runOnce: () => this.#fetch(),
      // Signals tell of what is appended; looking again at once would find nothing.
      idleMinMs: Math.min(POLL_MIN_MS, this.#options.pollMaxMs),
      idleMaxMs: this.#options.pollMaxMs,
      bell: new Bell(),
    });
    this.#ticker = new BackgroundService({
      ...service,
      name: `the positions of group ${parts.group}`,
      runOnce: () => this.#tick(),
      idleMinMs: TICK_MS,
      idleMaxMs: TICK_MS,
    });
    const { leaseMs, heartbeatMs } = this.#options;
    const topicsNow = (): string[] => (this.#isBlind ? [] : [...this.#byTopic.keys()]);
    this.#membership = new GroupMembership(parts.bus, parts.topics, parts.signals, {
      ...service,
      group: parts.group,
      get topics() {
        return topicsNow();
      },
      leaseMs,
      heartbeatMs,
      listener: {
        onAssigned: (ownership) => this.#onAssigned(ownership),
        onRevoked: (ownership) => this.#onRevoked(ownership),
        onLost: (ownership) => this.#onLost(ownership),
      },
    });
  }

  /** Joins the group and begins to consume. */
  async start(): Promise<void> {
    const { bus, transactions } = this.parts;
    const [log, handlers] = await Promise.all([
      databaseIdentity(bus.session),
      databaseIdentity(transactions.session),
    ]);
    await this.#watch.start();
    await this.#membership.start();
    const context = this.#laneContext(log === handlers ? undefined : log);
    const { startFrom } = this.#options;
    this.#opener = new LaneOpener(context, this.#byTopic, this.parts.topics, this.#reader, startFrom);
    this.#redrives = new RedriveWatch({
      ...context,
      session: bus.session,
      signals: this.parts.signals,
      lanes: () => this.#lanes(),
    });
    this.#redrives.start();
    this.#unsubscribe = this.parts.signals.subscribe('appended', this.#fetcher.bell);
    this.#fetcher.start();
    this.#ticker.start();
  }

  #laneContext(inboxFor: string | undefined): LaneContext {
    const { bus, transactions, group, budgets } = this.parts;
    const { groupId } = this.#membership;
    const { maxCrashes, maxParked, preparedStatements: prepared } = this.#options;
    const wake = (): void => this.#pump();
    const service = { clock: this.#clock, logger: this.#logger };
    const store = budgets ?? new PostgresBudgetStore(bus.session);
    return {
      ...service,
      group,
      groupId,
      databases: { bus, transactions, inboxFor, prepared },
      topics: this.parts.topics,
      slots: this.#slots,
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
      onSettled: this.parts.onSettled,
    };
  }

  /** Lets handlers come to their end (within `drainMs`), stores positions, and leaves the group. */
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
    const failures = [...this.#seats.values()].flatMap(({ ownership, failure }) => {
      if (failure === undefined) return [];
      const place = this.parts.topics.locate(ownership.partitionId);
      return [{ topic: place?.topic ?? '?', partition: place?.number ?? -1, reason: failure }];
    });
    return {
      running: this.#fetcher.running,
      partitions: this.#seats.size,
      failures,
      leaseLapsed: this.#fetcher.running && this.#membership.leaseLapsed,
      lastReadAgeMs: this.#fetcher.running ? this.#fetcher.lastPassAgeMs : undefined,
      parked: this.#lanes().reduce((sum, lane) => sum + lane.parkedCount, 0),
      counts: this.#counters.counts,
      circuits: this.#opener?.circuits ?? {},
    };
  }

  async #onAssigned(ownership: Ownership): Promise<void> {
    this.#seats.set(ownership.partitionId, seatFor(ownership));
    this.#fetcher.bell.ring();
  }

  async #onRevoked({ partitionId }: Ownership): Promise<void> {
    const seat = this.#seats.get(partitionId);
    this.#seats.delete(partitionId);
    this.#leaving += 1;
    if (this.#leaving === 1) this.parts.onRebalancing?.(true);
    await seat?.lane?.drain(this.#options.drainMs);
    this.#leaving -= 1;
    if (this.#leaving === 0) this.parts.onRebalancing?.(false);
  }

  async #onLost({ partitionId }: Ownership): Promise<void> {
    const seat = this.#seats.get(partitionId);
    this.#seats.delete(partitionId);
    seat?.lane?.abort();
  }

  /** Whether the log could not be read for so long that others had better try: it asks for no partition then. */
  get #isBlind(): boolean {
    return this.#fetcher.running && (this.#fetcher.lastPassAgeMs ?? 0) > BLIND_LEASES * this.#options.leaseMs;
  }

  /** One pass: opens lanes that are due, fetches for those that want more, and starts what may run. */
  async #fetch(): Promise<PassResult> {
    for (const seat of this.#seats.values()) await this.#open(seat);
    const positions = this.#lanes().flatMap((lane) => {
      const offset = lane.wanted;
      return offset === undefined ? [] : [{ partitionId: lane.partitionId, offset }];
    });
    this.#mayHaveMore = positions.length < this.#lanes().length;
    // With nothing to read it would not learn that it can read again.
    if (this.#isBlind) await oldestBucketSeq(this.parts.bus.session);
    let fetched: Fetched;
    try {
      fetched = await this.#reader.fetch(positions);
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      const topic = await this.parts.topics.get(error.topic);
      this.#fail(this.#seats.get(topic.partitionIds[error.partition] ?? -1), error);
      return 'again';
    }
    for (const batch of fetched.batches) this.#feed(batch);
    this.#mayHaveMore ||= fetched.mayHaveMore;
    this.#pump();
    return fetched.mayHaveMore ? 'again' : 'idle';
  }

  #feed(batch: FetchedBatch): void {
    const seat = this.#seats.get(batch.partitionId);
    try {
      seat?.lane?.feed(batch);
    } catch (error) {
      this.#fail(seat, error);
    }
  }

  #pump(): void {
    for (const lane of this.#lanes()) lane.pump();
    if (this.#mayHaveMore && this.#lanes().some((lane) => lane.wanted !== undefined)) {
      this.#mayHaveMore = false;
      this.#fetcher.bell.ring();
    }
  }

  #lanes(): PartitionLane[] {
    return [...this.#seats.values()].flatMap(({ lane }) =>
      lane === undefined || lane.stopped ? [] : [lane],
    );
  }

  /**
   * Opens the lane of a partition, from where the group stands; opens it again when it has stopped while the partition
   * was still ours, as after a lease that had run out and was taken by nobody.
   */
  async #open(seat: Seat): Promise<void> {
    if (seat.lane !== undefined && !seat.lane.stopped) return;
    if (seat.lane !== undefined && seat.failure === undefined) {
      seat.suspectEnd = seat.lane.suspectEnd;
      this.#fail(seat, 'its lane ended');
    }
    if (this.#clock.monotonic() < seat.openAt) return;
    const { partitionId } = seat.ownership;
    try {
      if (seat.written) {
        const ownership = await this.#membership.reclaim(seat.ownership);
        // It is another's, as the next heartbeat will say.
        if (ownership === undefined) return;
        seat.ownership = ownership;
      }
      // The answer to what the opening writes may be lost, too.
      seat.written = true;
      const { opened: again, losses, suspectEnd } = seat;
      const lane = await this.#opener?.open(seat.ownership, this.#membership.memberId, {
        again,
        losses,
        suspectEnd,
      });
      seat.opened = true;
      // The partition may have been taken away while its position was read.
      if (this.#seats.get(partitionId) !== seat) return;
      seat.lane = lane;
      seat.failure = undefined;
    } catch (error) {
      this.#fail(seat, error);
    }
  }

  #fail(seat: Seat | undefined, error: unknown): void {
    if (seat === undefined) return;
    seat.lane?.abort();
    const isOld = this.#clock.monotonic() - seat.openAt > FORGET_FAILURES_MS;
    if (isOld || seat.lane?.hasProgressed === true) seat.failures = 0;
    seat.lane = undefined;
    seat.failures += 1;
    seat.failure = describeError(error);
    seat.openAt =
      this.#clock.monotonic() + Math.min(LONGEST_REOPEN_MS, 100 * 2 ** Math.min(seat.failures, 7));
    const place = this.parts.topics.locate(seat.ownership.partitionId);
    const fields = { group: this.parts.group, topic: place?.topic, partition: place?.number };
    // A member that has not heard yet that another owns its partition is fenced: that is how it is handed over.
    if (isFenced(error) && seat.failures <= HAND_OVER_TRIES) {
      seat.failure = undefined;
      this.#logger.info('a partition went over to another member', fields);
      return;
    }
    this.#logger.error(`a partition cannot be consumed: ${seat.failure}`, fields);
  }

  async #tick(): Promise<PassResult> {
    for (const lane of this.#lanes()) await lane.tick();
    await this.#recycleInbox();
    return 'idle';
  }

  /** What the log cannot deliver again, the inbox of the handlers' database may forget. */
  async #recycleInbox(): Promise<void> {
    const now = this.#clock.monotonic();
    if (this.#opener?.usesInbox !== true || now - this.#inboxRecycledAt < INBOX_MS) return;
    this.#inboxRecycledAt = now;
    const oldest = await oldestBucketSeq(this.parts.bus.session);
    await new InboxGuard().recycle(this.parts.transactions.session, oldest, this.#logger);
  }
}

import { randomInt } from 'node:crypto';
import { InboxGuard } from '@waybill/inbox';
import {
  BackgroundService,
  Bell,
  type Clock,
  ConfigurationError,
  describeError,
  type Given,
  type Logger,
  OffsetOutOfRangeError,
  oneOf,
  type PassResult,
  type PgDatabase,
  resolveOptions,
  silentLogger,
  systemClock,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import {
  type FetchedBatch,
  GroupMembership,
  LogReader,
  type LogSignals,
  oldestBucketSeq,
  type Ownership,
  PartitionProgress,
  type Topics,
} from '@waybill/log';
import { databaseIdentity } from '@waybill/schema';
import { type LaneContext, PartitionLane } from './partition-lane.js';
import { Slots } from './slots.js';
import type { Subscription } from './subscription.js';

const SPECS = {
  /** How long this process keeps its partitions when it is not heard of, in milliseconds. */
  leaseMs: wholeNumber({ default: 10_000, min: 300, max: 600_000 }),
  /** How often it lets itself be heard, in milliseconds. */
  heartbeatMs: wholeNumber({ default: 2_000, min: 50, max: 200_000 }),
  /** Deliveries that run at the same time in this process; each has a connection of its own. */
  maxConcurrency: wholeNumber({ default: 8, min: 1, max: 1_000 }),
  /** Longest time without a look at the log, in milliseconds. */
  pollMaxMs: wholeNumber({ default: 250, min: 1, max: 60_000 }),
  /** How long a partition that is given away, or a process that stops, waits for handlers, in milliseconds. */
  drainMs: wholeNumber({ default: 20_000, min: 0, max: 3_600_000 }),
  /** Where a group begins that has never stored a position. */
  startFrom: oneOf(['earliest', 'latest'], 'earliest'),
  /** A message that takes its process down alone as often as this becomes a dead letter. */
  maxCrashes: wholeNumber({ default: 3, min: 1, max: 100 }),
};

/** Options of a {@link Consumer}. */
export type ConsumerOptions = Given<typeof SPECS>;

/** What a {@link Consumer} works with. */
export interface ConsumerParts {
  readonly group: string;
  readonly subscriptions: readonly Subscription[];
  /** Where the log is. */
  readonly bus: PgDatabase;
  /** Opens handlers' transactions, in the log's database or in another that has been migrated. */
  readonly transactions: TransactionRunner;
  readonly topics: Topics;
  readonly signals: LogSignals;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** How a consumer fares. */
export interface ConsumerStatus {
  readonly running: boolean;
  readonly partitions: number;
  /** Partitions that cannot be consumed, and why. */
  readonly failures: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly reason: string;
  }[];
  /** True when no heartbeat has come through for as long as the lease. */
  readonly leaseLapsed: boolean;
}

interface Seat {
  ownership: Ownership;
  /** Whether a lane has been open before: it then begins by taking the partition anew. */
  opened: boolean;
  /** The open lane; replaced when it has stopped. */
  lane: PartitionLane | undefined;
  failure: string | undefined;
  failures: number;
  /** When it may be opened (again), by the monotonic clock. */
  openAt: number;
}

/** A lane that has run for so long begins with the shortest wait again when it fails. */
const FORGET_FAILURES_MS = 60_000;
/** Longest wait before a lane that has failed is opened again. */
const LONGEST_REOPEN_MS = 5_000;
/** How often the inbox is looked through for what it may forget. */
const INBOX_MS = 60_000;
/** How often positions are stored that have moved. */
const TICK_MS = 1_000;

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
  readonly #byTopic: ReadonlyMap<string, Subscription>;
  #context: LaneContext | undefined;
  #unsubscribe: (() => void) | undefined;
  #mayHaveMore = false;
  #inboxRecycledAt = 0;
  #stopping: Promise<void> | undefined;

  /** @throws ConfigurationError */
  constructor(
    private readonly parts: ConsumerParts,
    options: ConsumerOptions = {},
  ) {
    this.#options = resolveOptions('consumer', SPECS, options, ({ leaseMs, heartbeatMs }) =>
      leaseMs >= 3 * heartbeatMs
        ? []
        : [`leaseMs (${leaseMs}) must be at least three times heartbeatMs (${heartbeatMs})`],
    );
    this.#byTopic = byTopic(parts.subscriptions);
    this.#clock = parts.clock ?? systemClock;
    this.#logger = parts.logger ?? silentLogger;
    this.#reader = new LogReader(parts.bus, parts.topics);
    this.#slots = new Slots(this.#options.maxConcurrency, () => this.#pump());
    const service = { clock: this.#clock, logger: this.#logger };
    this.#fetcher = new BackgroundService({
      ...service,
      name: `the consumer of group ${parts.group}`,
      runOnce: () => this.#fetch(),
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
    this.#membership = new GroupMembership(parts.bus, parts.topics, parts.signals, {
      ...service,
      group: parts.group,
      topics: [...this.#byTopic.keys()],
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
    await this.#membership.start();
    this.#context = {
      group: this.parts.group,
      groupId: this.#membership.groupId,
      databases: { bus, transactions, inboxFor: log === handlers ? undefined : log },
      slots: this.#slots,
      clock: this.#clock,
      random: () => randomInt(1_000_000) / 1_000_000,
      logger: this.#logger,
      maxCrashes: this.#options.maxCrashes,
    };
    this.#unsubscribe = this.parts.signals.subscribe('appended', this.#fetcher.bell);
    this.#fetcher.start();
    this.#ticker.start();
  }

  /** Lets handlers come to their end (within `drainMs`), stores positions, and leaves the group. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#fetcher.stop();
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
    };
  }

  async #onAssigned(ownership: Ownership): Promise<void> {
    this.#seats.set(ownership.partitionId, {
      ownership,
      opened: false,
      lane: undefined,
      failure: undefined,
      failures: 0,
      openAt: 0,
    });
    this.#fetcher.bell.ring();
  }

  async #onRevoked({ partitionId }: Ownership): Promise<void> {
    const seat = this.#seats.get(partitionId);
    this.#seats.delete(partitionId);
    await seat?.lane?.drain(this.#options.drainMs);
  }

  async #onLost({ partitionId }: Ownership): Promise<void> {
    const seat = this.#seats.get(partitionId);
    this.#seats.delete(partitionId);
    seat?.lane?.abort();
  }

  /** One pass: opens lanes that are due, fetches for those that want more, and starts what may run. */
  async #fetch(): Promise<PassResult> {
    for (const seat of this.#seats.values()) await this.#open(seat);
    const positions = this.#lanes().flatMap((lane) => {
      const offset = lane.wanted;
      return offset === undefined ? [] : [{ partitionId: lane.partitionId, offset }];
    });
    this.#mayHaveMore = positions.length < this.#lanes().length;
    let batches: FetchedBatch[];
    try {
      batches = await this.#reader.fetch(positions);
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      const topic = await this.parts.topics.get(error.topic);
      this.#fail(this.#seats.get(topic.partitionIds[error.partition] ?? -1), error);
      return 'again';
    }
    for (const batch of batches) this.#feed(batch);
    this.#pump();
    if (batches.length === 0) return 'idle';
    this.#mayHaveMore = true;
    return 'again';
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
    if (seat.lane !== undefined && seat.failure === undefined) this.#fail(seat, 'its lane stopped');
    if (this.#clock.monotonic() < seat.openAt) return;
    const { partitionId } = seat.ownership;
    try {
      if (seat.opened) {
        const ownership = await this.#membership.reclaim(seat.ownership);
        // It is another's, as the next heartbeat will say.
        if (ownership === undefined) return;
        seat.ownership = ownership;
      }
      const lane = await this.#newLane(seat.ownership, seat.opened);
      seat.opened = true;
      // The partition may have been taken away while its position was read.
      if (this.#seats.get(partitionId) !== seat) return;
      seat.lane = lane;
      seat.failure = undefined;
    } catch (error) {
      this.#fail(seat, error);
    }
  }

  async #newLane(ownership: Ownership, again: boolean): Promise<PartitionLane | undefined> {
    const context = this.#context;
    const { topics, bus } = this.parts;
    const place =
      topics.locate(ownership.partitionId) ?? (await topics.list(), topics.locate(ownership.partitionId));
    const subscription = this.#byTopic.get(place?.topic ?? '');
    if (context === undefined || place === undefined || subscription === undefined) return undefined;
    const progress = new PartitionProgress(context.groupId, this.#membership.memberId, ownership);
    const stored = await progress.load(bus.session);
    const offsets = (await this.#reader.offsets([ownership.partitionId])).get(ownership.partitionId);
    const start = this.#options.startFrom === 'earliest' ? offsets?.startOffset : offsets?.endOffset;
    const position = stored.position ?? start ?? 0;
    if (offsets !== undefined)
      this.#reader.assertInRange({ partitionId: ownership.partitionId, offset: position }, offsets);
    // What was in flight when this very process lost its connection has taken no process down.
    const suspectEnd = again ? position : Math.max(position, stored.inFlightEnd);
    const lane = new PartitionLane(context, subscription, place.number, progress, stored, {
      position,
      suspectEnd,
    });
    // A group that begins at the end must begin there after a restart, too.
    if (stored.position === undefined) await lane.begin();
    return lane;
  }

  #fail(seat: Seat | undefined, error: unknown): void {
    if (seat === undefined) return;
    seat.lane?.abort();
    seat.lane = undefined;
    if (this.#clock.monotonic() - seat.openAt > FORGET_FAILURES_MS) seat.failures = 0;
    seat.failures += 1;
    seat.failure = describeError(error);
    seat.openAt =
      this.#clock.monotonic() + Math.min(LONGEST_REOPEN_MS, 100 * 2 ** Math.min(seat.failures, 7));
    const place = this.parts.topics.locate(seat.ownership.partitionId);
    this.#logger.error(`a partition cannot be consumed: ${seat.failure}`, {
      group: this.parts.group,
      topic: place?.topic,
      partition: place?.number,
    });
  }

  async #tick(): Promise<PassResult> {
    for (const lane of this.#lanes()) await lane.tick();
    await this.#recycleInbox();
    return 'idle';
  }

  /** What the log cannot deliver again, the inbox of the handlers' database may forget. */
  async #recycleInbox(): Promise<void> {
    const context = this.#context;
    const now = this.#clock.monotonic();
    if (context?.databases.inboxFor === undefined || now - this.#inboxRecycledAt < INBOX_MS) return;
    this.#inboxRecycledAt = now;
    const oldest = await oldestBucketSeq(this.parts.bus.session);
    await new InboxGuard().recycle(this.parts.transactions.session, oldest, this.#logger);
  }
}

function byTopic(subscriptions: readonly Subscription[]): Map<string, Subscription> {
  const map = new Map<string, Subscription>();
  const problems: string[] = [];
  for (const subscription of subscriptions) {
    if (map.has(subscription.topic)) problems.push(`topic ${subscription.topic} is subscribed to twice`);
    map.set(subscription.topic, subscription);
  }
  if (problems.length > 0) throw new ConfigurationError('The subscriptions are not usable', problems);
  return map;
}

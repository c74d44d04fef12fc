import {
  isNewToGroup,
  type LogReader,
  type Ownership,
  PartitionProgress,
  type PartitionOffsets,
  type Topics,
} from '@waybill/log';
import { CircuitBreaker, type CircuitState } from './circuit-breaker.js';
import type { LaneStart } from './lane-charges.js';
import type { LaneContext } from './lane-context.js';
import { PartitionLane } from './partition-lane.js';
import type { Subscription } from './subscription.js';

/** Opens the lanes of a consumer's partitions, each from where the group stands in it. */
export class LaneOpener {
  readonly #breakers = new Map<string, CircuitBreaker>();

  /** @throws ConfigurationError for options of a circuit breaker */
  constructor(
    private readonly context: LaneContext,
    private readonly subscriptions: ReadonlyMap<string, Subscription>,
    private readonly topics: Topics,
    private readonly reader: LogReader,
    /** Where the group begins in a topic in which it has never stored a position, and that was there before it. */
    private readonly startFrom: 'earliest' | 'latest',
  ) {
    for (const subscription of subscriptions.values()) this.#breakerOf(subscription);
  }

  /** States of the circuit breakers, by topic. */
  get circuits(): Record<string, CircuitState> {
    return Object.fromEntries([...this.#breakers].map(([topic, { state }]) => [topic, state]));
  }

  /** Whether handlers write to another database than the log's. */
  get usesInbox(): boolean {
    return this.context.databases.inboxFor !== undefined;
  }

  /**
   * Opens a lane; undefined for a partition that nobody here subscribes to.
   * @param before how this process has fared with the partition since it took it over
   * @throws OffsetOutOfRangeError
   */
  async open(
    ownership: Ownership,
    memberId: string,
    { again, losses, suspectEnd: suspectedBefore }: Omit<LaneStart, 'position'>,
  ): Promise<PartitionLane | undefined> {
    const { context, reader, topics } = this;
    // Read anew: settings of the topic may have been changed.
    const known = await topics.list();
    const place = topics.locate(ownership.partitionId);
    const topic = known.find(({ name }) => name === place?.topic);
    const subscription = this.subscriptions.get(topic?.name ?? '');
    if (place === undefined || topic === undefined || subscription === undefined) return undefined;
    const progress = new PartitionProgress(context.groupId, memberId, ownership);
    const stored = await progress.load(context.databases.bus.session);
    const offsets = (await reader.offsets([ownership.partitionId])).get(ownership.partitionId);
    const position = stored.position ?? (await this.#start(topic.name, offsets));
    if (offsets !== undefined)
      reader.assertInRange({ partitionId: ownership.partitionId, offset: position }, offsets);
    // The marker is put ahead of what is written: only what is there now can have been begun.
    const begunEnd = Math.min(stored.inFlightEnd, offsets?.endOffset ?? stored.inFlightEnd);
    // What was in flight when this very process lost its connection has taken no process down.
    const suspectEnd = Math.max(position, again ? suspectedBefore : begunEnd);
    const breaker = this.#breakerOf(subscription);
    const setting = { context, subscription, topic, partition: place.number, progress, breaker };
    const lane = new PartitionLane(setting, stored, { position, suspectEnd, losses, again });
    await lane.begin(stored.position === undefined);
    return lane;
  }

  /** Where the group begins. What was published to a topic that is younger than the subscription is new, too. */
  async #start(topic: string, offsets: PartitionOffsets | undefined): Promise<number> {
    if (offsets === undefined) return 0;
    if (this.startFrom === 'earliest') return offsets.startOffset;
    const { groupId, databases } = this.context;
    const [row] = await databases.bus.session.run(isNewToGroup, groupId, topic);
    return row?.isNew === true ? offsets.startOffset : offsets.endOffset;
  }

  /** The circuit breaker of a subscription, one for all its lanes; undefined when it has none. */
  #breakerOf({ topic, circuitBreaker }: Subscription): CircuitBreaker | undefined {
    if (circuitBreaker === undefined) return undefined;
    const breaker =
      this.#breakers.get(topic) ?? new CircuitBreaker(circuitBreaker, () => this.context.clock.monotonic());
    this.#breakers.set(topic, breaker);
    return breaker;
  }
}

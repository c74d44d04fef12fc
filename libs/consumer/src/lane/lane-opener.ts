import { isConnectionLoss, isServerTrouble } from '@waybill/kernel/internal';
import type { LogEngine, LogHistory, Membership, PartitionOffsets, Topic } from '@waybill/log';
import { assertInRange } from '@waybill/log/internal';
import { type LogWentBackError } from '@waybill/kernel';
import { CircuitBreaker, type CircuitState } from '../policy/circuit-breaker.js';
import type { LaneStart } from '../retry/lane-start.js';
import type { LaneContext } from '../retry/lane-context.js';
import { listParkedIn, type ParkedRow } from '../parked/parked-store.js';
import {
  advanceTogether,
  type FirstPosition,
  loadProgress,
  PartitionProgress,
  type StoredProgress,
} from '../progress/partition-progress.js';
import type { Ownership } from '../progress/progress-owners.js';
import { differencesFrom } from './log-check.js';
import { rewind } from './log-rewind.js';
import { PartitionLane } from './partition-lane.js';
import type { Subscription } from '../handler/subscription.js';

/** A partition to open, and the history of its lanes in this process since the partition was acquired. */
export interface LaneRequest {
  readonly ownership: Ownership;
  readonly before: Omit<LaneStart, 'position'>;
}

/** The result of a request: a lane, undefined if this process does not subscribe to the topic, or an error. */
export type Opened = { readonly lane: PartitionLane | undefined } | { readonly error: unknown };

/** The progress of a group without a stored position. */
const EMPTY: StoredProgress = {
  position: undefined,
  logEpoch: 0,
  checksum: undefined,
  inFlightEnd: 0,
  marked: new Set(),
  charges: new Map(),
};

/** A partition of a subscribed topic, for which a lane is being opened. */
interface Opening extends LaneRequest {
  readonly partitionId: number;
  readonly number: number;
  readonly topic: Topic;
  readonly subscription: Subscription;
}

/** Data from the database, by partition id. */
interface Found {
  readonly history: LogHistory;
  /** Where the log lacks what the group has read. */
  readonly differences: ReadonlyMap<number, LogWentBackError>;
  readonly stored: ReadonlyMap<number, StoredProgress>;
  readonly offsets: ReadonlyMap<number, PartitionOffsets>;
  readonly parked: ReadonlyMap<number, readonly ParkedRow[]>;
  /** Topics all of whose records are new to the group. */
  readonly newTopics: ReadonlySet<string>;
}

/** Opens the lanes of a consumer's partitions, each from the group's position in it. */
export class LaneOpener {
  readonly #breakers = new Map<string, CircuitBreaker>();

  /** @throws ConfigurationError for invalid options of a circuit breaker */
  constructor(
    private readonly context: LaneContext,
    private readonly subscriptions: ReadonlyMap<string, Subscription>,
    private readonly log: Pick<LogEngine, 'identity' | 'offsets' | 'checksumsBelow' | 'cutsSince' | 'topics'>,
    private readonly membership: Pick<Membership, 'newToGroup'>,
    /** Where the group starts in a topic that is older than its subscription and has no stored position. */
    private readonly startFrom: 'earliest' | 'latest',
  ) {
    for (const subscription of subscriptions.values()) this.#breakerOf(subscription);
  }

  /** States of the circuit breakers, by topic. */
  get circuits(): Record<string, CircuitState> {
    return Object.fromEntries([...this.#breakers].map(([topic, { state }]) => [topic, state]));
  }

  /**
   * Opens lanes, by partition id, with a fixed number of statements however many there are. If one partition makes a
   * statement fail for all, it splits them in half until that partition fails alone.
   */
  async open(requests: readonly LaneRequest[]): Promise<ReadonlyMap<number, Opened>> {
    const opened = new Map<number, Opened>();
    await this.#openIn(opened, requests);
    return opened;
  }

  async #openIn(opened: Map<number, Opened>, requests: readonly LaneRequest[]): Promise<void> {
    try {
      await this.#openTogether(opened, requests);
    } catch (error) {
      // It may then be unknown whether something was written, and nothing is written again in the same epoch.
      const isUnknown = isConnectionLoss(error) || isServerTrouble(error);
      if (requests.length === 1 || isUnknown) {
        for (const { ownership } of requests) opened.set(ownership.partitionId, { error });
        return;
      }
      const half = requests.length >> 1;
      await this.#openIn(opened, requests.slice(0, half));
      await this.#openIn(opened, requests.slice(half));
    }
  }

  async #openTogether(opened: Map<number, Opened>, requests: readonly LaneRequest[]): Promise<void> {
    const openings = await this.#subscribed(requests, opened);
    if (openings.length === 0) return;
    const found = await this.#find(openings);
    const firsts: FirstPosition[] = [];
    const starts = new Map<Opening, number>();
    for (const opening of openings) {
      const { partitionId, ownership } = opening;
      try {
        const position = this.#positionOf(opening, found);
        starts.set(opening, position);
        if (found.stored.get(partitionId)?.position === undefined) firsts.push({ ownership, position });
      } catch (error) {
        opened.set(partitionId, { error });
      }
    }
    await this.#begin(firsts, found.history);
    for (const [opening, position] of starts) {
      opened.set(opening.partitionId, { lane: this.#laneOf(opening, position, found) });
    }
  }

  /** The partitions of subscribed topics; the others get no lane. */
  async #subscribed(requests: readonly LaneRequest[], opened: Map<number, Opened>): Promise<Opening[]> {
    // Read again: a topic's settings may have changed.
    const topics = await this.log.topics.refresh(requests.map(({ ownership }) => ownership.partitionId));
    return requests.flatMap((request) => {
      const { partitionId } = request.ownership;
      const location = this.log.topics.locate(partitionId);
      const topic = topics.get(location?.topic ?? '');
      const subscription = this.subscriptions.get(topic?.name ?? '');
      if (location === undefined || topic === undefined || subscription === undefined) {
        opened.set(partitionId, { lane: undefined });
        return [];
      }
      return [{ ...request, partitionId, number: location.number, topic, subscription }];
    });
  }

  async #find(openings: readonly Opening[]): Promise<Found> {
    const { groupId, group, databases } = this.context;
    const { session } = databases.database;
    const ids = openings.map(({ partitionId }) => partitionId);
    // Before all that is compared with the log: what was read in an older history than this one is compared again.
    const history = await this.log.identity();
    const before = await loadProgress(session, groupId, ids);
    const isRewound = await this.#rewind(openings, before, history);
    const stored = isRewound ? await loadProgress(session, groupId, ids) : before;
    const offsets = await this.log.offsets(ids);
    const places = [...stored].flatMap(([partitionId, { position: offset, checksum }]) =>
      offset === undefined ? [] : [{ partitionId, offset, checksum }],
    );
    const differences = await differencesFrom(this.log, group, places, offsets);
    const parked = await listParkedIn(session, groupId, ids);
    const begun = openings.filter(({ partitionId }) => stored.get(partitionId)?.position === undefined);
    const names = [...new Set(begun.map(({ topic }) => topic.name))];
    const isAsked = names.length > 0 && this.startFrom === 'latest';
    const newTopics = isAsked ? await this.membership.newToGroup(names) : new Set<string>();
    return { history, differences, stored, offsets, parked, newTopics };
  }

  /** Goes on in the log's present history where positions are of an older one; resolves to whether there were any. */
  async #rewind(
    openings: readonly Opening[],
    stored: ReadonlyMap<number, StoredProgress>,
    history: LogHistory,
  ): Promise<boolean> {
    const old = openings.flatMap(({ partitionId, ownership }) => {
      const { position, checksum, logEpoch } = stored.get(partitionId) ?? EMPTY;
      if (position === undefined || logEpoch >= history.logEpoch) return [];
      return [{ partitionId, ownership, position, checksum, logEpoch }];
    });
    if (old.length > 0) await rewind(this.context, this.log, old, history.logEpoch);
    return old.length > 0;
  }

  /**
   * Where a lane starts. Records of a topic that is younger than the subscription are new to the group, too.
   * @throws OffsetOutOfRangeError, LogWentBackError
   */
  #positionOf({ partitionId, topic }: Opening, found: Found): number {
    const { stored, offsets, newTopics, differences } = found;
    const range = offsets.get(partitionId);
    const position = stored.get(partitionId)?.position;
    const difference = differences.get(partitionId);
    if (difference !== undefined) throw difference;
    if (range === undefined) return position ?? 0;
    if (position !== undefined) {
      assertInRange(this.log.topics, { partitionId, offset: position }, range);
      return position;
    }
    const isFromStart = this.startFrom === 'earliest' || newTopics.has(topic.name);
    return isFromStart ? range.startOffset : range.endOffset;
  }

  /** Stores where the group starts: if it starts at the end, it must start at that offset after a restart, too. */
  async #begin(firsts: readonly FirstPosition[], { logEpoch }: LogHistory): Promise<void> {
    const [first] = firsts;
    if (first === undefined) return;
    const { groupId, databases } = this.context;
    const { ownership, position } = first;
    // A single one may wait for the transaction that locks its owner's row.
    const statement =
      firsts.length === 1
        ? new PartitionProgress(groupId, ownership, logEpoch).advance(position, position, undefined)
        : advanceTogether(groupId, firsts, logEpoch);
    await databases.database.runTogether([statement]);
  }

  #laneOf(opening: Opening, position: number, found: Found): PartitionLane {
    const { partitionId, ownership, topic, subscription, before } = opening;
    const { context } = this;
    const stored = found.stored.get(partitionId) ?? EMPTY;
    // The marker is stored ahead of the log's end: only existing records can have been started.
    const end = found.offsets.get(partitionId)?.endOffset ?? stored.inFlightEnd;
    const begunEnd = Math.min(stored.inFlightEnd, end);
    // Records in flight when this same process lost its connection have not crashed a process.
    const suspectEnd = Math.max(position, before.again ? before.suspectEnd : begunEnd);
    const { history } = found;
    const progress = new PartitionProgress(context.groupId, ownership, history.logEpoch);
    const breaker = this.#breakerOf(subscription);
    const environment = { context, subscription, topic, partition: opening.number, progress, breaker };
    const inFlightEnd = stored.position === undefined ? position : stored.inFlightEnd;
    const { again, losses, charged, parkedSuspects } = before;
    const start = { position, suspectEnd, losses, charged, parkedSuspects, again };
    return new PartitionLane(
      environment,
      { ...stored, inFlightEnd },
      start,
      found.parked.get(partitionId) ?? [],
      history,
    );
  }

  /** The circuit breaker of a subscription, one for all its lanes; undefined if it has none. */
  #breakerOf({ topic, circuitBreaker }: Subscription): CircuitBreaker | undefined {
    if (circuitBreaker === undefined) return undefined;
    const breaker =
      this.#breakers.get(topic) ?? new CircuitBreaker(circuitBreaker, () => this.context.clock.monotonic());
    this.#breakers.set(topic, breaker);
    return breaker;
  }
}

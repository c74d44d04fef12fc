import { type Clock, describeError, type Logger } from '@waybill/kernel';
import { backoffMs, isFenced } from '@waybill/kernel/internal';
import type { FetchedBatch, Grant, LogEngine, LogHistory, Membership } from '@waybill/log';
import type { Ownership, ProgressOwners } from '../progress/progress-owners.js';
import type { LaneOpener } from './lane-opener.js';
import { differencesFrom } from './log-check.js';
import type { PartitionLane } from './partition-lane.js';
import { type OwnedPartition, newlyOwned } from './owned-partition.js';

/** Maximum number of lanes that are opened together. */
const OPENED_TOGETHER = 500;
/** A lane that fails after running for at least this long starts with the shortest wait again. */
const FORGET_FAILURES_MS = 60_000;
/** Wait before a lane is reopened after its first failure, and the longest wait after failures in a row. */
const FIRST_REOPEN_MS = 200;
const LONGEST_REOPEN_MS = 5_000;
/** Wait before retrying a partition that another member owns, or in which a delivery is just being committed. */
const SOON_MS = 50;
/** How many times in a row a lane may be fenced before that counts as a failure. */
const HAND_OVER_TRIES = 3;

/** What {@link OwnedPartitions} work with. */
export interface OwnedPartitionsDependencies {
  readonly group: string;
  readonly membership: Pick<Membership, 'leaseLapsed'>;
  readonly owners: Pick<ProgressOwners, 'take' | 'reclaim'>;
  readonly log: Pick<LogEngine, 'topics' | 'offsets' | 'checksumsBelow'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The partitions that a process owns, and their lanes: opens lanes in batches, reopens those that have failed, and
 * tracks which of them have work, so that the many idle ones cost nothing.
 */
export class OwnedPartitions {
  readonly #partitions = new Map<number, OwnedPartition>();
  /** The lanes that may have something to start. */
  readonly #working = new Set<PartitionLane>();

  constructor(private readonly dependencies: OwnedPartitionsDependencies) {}

  /** Partitions, opened or not. */
  get size(): number {
    return this.#partitions.size;
  }

  /** The partitions that cannot be consumed, with the reasons. */
  get failures(): { topic: string; partition: number; reason: string }[] {
    return [...this.#partitions.values()].flatMap(({ grant, failure }) => {
      if (failure === undefined) return [];
      const location = this.dependencies.log.topics.locate(grant.partitionId);
      return [{ topic: location?.topic ?? '?', partition: location?.number ?? -1, reason: failure }];
    });
  }

  /** The open lanes. */
  lanes(): PartitionLane[] {
    const lanes: PartitionLane[] = [];
    for (const { lane } of this.#partitions.values())
      if (lane !== undefined && !lane.stopped) lanes.push(lane);
    return lanes;
  }

  /** Whether each of them has a lane that has not stopped. */
  get areOpen(): boolean {
    for (const { lane } of this.#partitions.values()) if (lane === undefined || lane.stopped) return false;
    return true;
  }

  /** Adds a partition that is granted to this process. */
  assign(grant: Grant): void {
    this.#partitions.set(grant.partitionId, newlyOwned(grant));
  }

  /** Removes a partition; returns its lane, which the caller ends. */
  take(partitionId: number): PartitionLane | undefined {
    const lane = this.#partitions.get(partitionId)?.lane;
    this.#partitions.delete(partitionId);
    if (lane !== undefined) this.#working.delete(lane);
    return lane;
  }

  /**
   * Opens a batch of lanes that are due, from the group's position; reopens lanes that stopped while their partitions
   * remained ours, for example after a lapsed lease that no other member took.
   * @returns whether more are due
   */
  async openDue(opener: LaneOpener): Promise<boolean> {
    const due = this.#due();
    const batch = await this.#taken(due.slice(0, OPENED_TOGETHER));
    if (batch.length > 0) await this.#open(batch, opener);
    return due.length > OPENED_TOGETHER;
  }

  #due(): OwnedPartition[] {
    const now = this.dependencies.clock.monotonic();
    const due: OwnedPartition[] = [];
    const ended: OwnedPartition[] = [];
    for (const partition of this.#partitions.values()) {
      if (partition.lane === undefined) {
        if (now >= partition.openAt) due.push(partition);
      } else if (partition.lane.stopped) {
        partition.suspectEnd = partition.lane.suspectEnd;
        ended.push(partition);
      }
    }
    if (ended.length > 0) this.#fail(ended, 'its lane ended');
    return due;
  }

  /**
   * The partitions that may be opened: those that were taken. If something may have been written already, the epoch has been
   * raised.
   */
  async #taken(partitions: readonly OwnedPartition[]): Promise<OwnedPartition[]> {
    const { owners } = this.dependencies;
    const isNew = partitions.filter(({ ownership }) => ownership === undefined);
    const written = partitions.filter((partition) => partition.ownership !== undefined && partition.written);
    const ready = partitions.filter(
      (partition) => !isNew.includes(partition) && !written.includes(partition),
    );
    ready.push(...(await this.#withOwnership(isNew, () => owners.take(isNew.map(({ grant }) => grant)))));
    const before = written.flatMap(({ ownership }) => ownership ?? []);
    ready.push(...(await this.#withOwnership(written, () => owners.reclaim(before))));
    return ready;
  }

  /**
   * Starts over with a partition that another member or an operator has taken since, although this process still has its
   * grant: it is taken by that next, if it still holds.
   */
  #forget(partition: OwnedPartition): void {
    const { grant, openAt } = partition;
    if (this.#partitions.get(grant.partitionId) !== partition) return;
    this.#partitions.set(grant.partitionId, { ...newlyOwned(grant), openAt });
  }

  async #withOwnership(
    partitions: readonly OwnedPartition[],
    take: () => Promise<ReadonlyMap<number, Ownership | Error | undefined>>,
  ): Promise<OwnedPartition[]> {
    if (partitions.length === 0) return [];
    try {
      const taken = await take();
      return partitions.filter((partition) => {
        const { partitionId } = partition.grant;
        const ownership = taken.get(partitionId);
        if (ownership instanceof Error) {
          this.#fail([partition], ownership);
          return false;
        }
        if (ownership === undefined) {
          // Another member has it, as the next heartbeat will report, or a delivery's transaction has not ended yet.
          this.#later(partition, SOON_MS);
          if (partition.ownership !== undefined && !taken.has(partitionId)) this.#forget(partition);
        } else partition.ownership = ownership;
        return ownership !== undefined;
      });
    } catch (error) {
      this.#fail(partitions, error);
      return [];
    }
  }

  async #open(partitions: readonly OwnedPartition[], opener: LaneOpener): Promise<void> {
    const requests = partitions.flatMap((partition) => {
      // The response to what the opening writes may be lost, too.
      partition.written = true;
      const { ownership, opened: again, losses, charged, parkedSuspects, suspectEnd } = partition;
      return ownership === undefined
        ? []
        : { ownership, before: { again, losses, charged, parkedSuspects, suspectEnd } };
    });
    const opened = await opener.open(requests);
    const failed = new Map<unknown, OwnedPartition[]>();
    for (const partition of partitions) {
      const { partitionId } = partition.grant;
      const result = opened.get(partitionId);
      if (result === undefined) continue;
      if ('error' in result) {
        const those = failed.get(result.error) ?? [];
        those.push(partition);
        failed.set(result.error, those);
        continue;
      }
      partition.opened = true;
      // The partition may have been lost while its position was read.
      if (this.#partitions.get(partitionId) !== partition) continue;
      partition.failure = undefined;
      partition.lane = result.lane;
      if (result.lane === undefined) this.#later(partition, LONGEST_REOPEN_MS);
      else this.#working.add(result.lane);
    }
    for (const [error, those] of failed) this.#fail(those, error);
  }

  #later(partition: OwnedPartition, ms: number): void {
    partition.openAt = this.dependencies.clock.monotonic() + ms;
  }

  /**
   * Follows the log into another history, before what was fetched in it is passed to lanes that have read in another one.
   * Where the log holds what was read, the lane goes on; after a heal it is opened again, which goes back to where the
   * log was cut.
   * @returns whether anything changed: what was fetched is to be fetched again
   */
  async follow(lanes: readonly PartitionLane[], history: LogHistory): Promise<boolean> {
    const changes = new Map(lanes.map((lane) => [lane, lane.changeTo(history)]));
    const restarted = lanes.filter((lane) => changes.get(lane) === 'restarted');
    const healed = lanes.filter((lane) => changes.get(lane) === 'healed');
    if (restarted.length === 0 && healed.length === 0) return false;
    this.#reopen(healed, 'the log is in a new epoch');
    if (restarted.length > 0) {
      const { log, group } = this.dependencies;
      const places = restarted.map(({ place }) => place);
      const offsets = await log.offsets(places.map(({ partitionId }) => partitionId));
      const differences = await differencesFrom(log, group, places, offsets);
      for (const lane of restarted) lane.confirm(history);
      for (const [partitionId, error] of differences) this.fail(partitionId, error);
    }
    return true;
  }

  /**
   * Opens lanes again that were opened on another server of the service's database: this one may lack the last of what they
   * have done, and they would go on behind it.
   */
  moveTo(incarnation: number): void {
    const left = this.lanes().filter((lane) => !lane.isOf(incarnation));
    this.#reopen(left, "the service's database is on another server, or that was started again");
  }

  #reopen(lanes: readonly PartitionLane[], why: string): void {
    if (lanes.length === 0) return;
    for (const lane of lanes) {
      lane.abort();
      this.#working.delete(lane);
      const partition = this.#partitions.get(lane.partitionId);
      if (partition?.lane !== lane) continue;
      partition.suspectEnd = lane.suspectEnd;
      partition.lane = undefined;
      this.#later(partition, 0);
    }
    const { logger, group } = this.dependencies;
    logger.warn(`${why}: its partitions are opened again`, { group });
  }

  /** Passes a fetched batch to its lane. */
  feed(batch: FetchedBatch): void {
    const lane = this.#partitions.get(batch.partitionId)?.lane;
    if (lane === undefined) return;
    this.#working.add(lane);
    lane.feed(batch);
  }

  /** Has every lane checked again, for example after reading operators' decisions. */
  stirAll(): void {
    for (const lane of this.lanes()) if (!lane.isIdle) this.#working.add(lane);
  }

  /**
   * Starts what may run. After the lease nothing is begun: what handlers do outside the database has no fence. What runs
   * goes on, since its transaction has one.
   */
  pump(): void {
    if (this.dependencies.membership.leaseLapsed) return;
    for (const lane of this.#working) {
      try {
        lane.pump();
      } catch (error) {
        this.fail(lane.partitionId, error);
      }
      if (lane.stopped || lane.isIdle) this.#working.delete(lane);
    }
  }

  /** Ends the lane of a partition; it is reopened after a while. */
  fail(partitionId: number, error: unknown): void {
    const partition = this.#partitions.get(partitionId);
    if (partition !== undefined) this.#fail([partition], error);
  }

  #fail(partitions: readonly OwnedPartition[], error: unknown): void {
    const now = this.dependencies.clock.monotonic();
    const failure = describeError(error);
    const broken = partitions.filter((partition) => {
      partition.lane?.abort();
      const isOld = now - partition.openAt > FORGET_FAILURES_MS;
      if (isOld || partition.lane?.hasProgressed === true) partition.failures = 0;
      if (partition.lane !== undefined) this.#working.delete(partition.lane);
      partition.lane = undefined;
      partition.failures += 1;
      // A member that does not know yet that another owns its partition is fenced: that is a normal hand-over.
      const isHandOver = isFenced(error) && partition.failures <= HAND_OVER_TRIES;
      partition.failure = isHandOver ? undefined : failure;
      this.#later(partition, backoffMs(partition.failures, FIRST_REOPEN_MS, LONGEST_REOPEN_MS));
      return !isHandOver;
    });
    const { logger } = this.dependencies;
    const gone = partitions.filter((partition) => !broken.includes(partition));
    if (gone.length > 0) logger.info(...this.#line(gone, 'moved to another member'));
    if (broken.length > 0) logger.error(...this.#line(broken, `cannot be consumed: ${failure}`));
  }

  /** A log line about one partition, or about several with the same result. */
  #line(
    partitions: readonly OwnedPartition[],
    what: string,
  ): [string, Record<string, string | number | undefined>] {
    const { group, log } = this.dependencies;
    const location = log.topics.locate(partitions[0]?.grant.partitionId ?? -1);
    const fields = { group, topic: location?.topic, partition: location?.number };
    if (partitions.length === 1) return [`a partition ${what}`, fields];
    return [`${partitions.length} partitions ${what}`, { ...fields, partitions: partitions.length }];
  }
}

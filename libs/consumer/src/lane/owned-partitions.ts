import { type Clock, describeError, isFenced, type Logger } from '@waybill/kernel';
import type { FetchedBatch, GroupMembership, Ownership, Topics } from '@waybill/log';
import type { LaneOpener } from './lane-opener.js';
import type { PartitionLane } from './partition-lane.js';
import { type Seat, seatFor } from './owned-partition.js';

/** Lanes that are opened together at most. */
const OPENED_TOGETHER = 500;
/** A lane that has run for so long begins with the shortest wait again when it fails. */
const FORGET_FAILURES_MS = 60_000;
/** Longest wait before a lane that has failed is opened again. */
const LONGEST_REOPEN_MS = 5_000;
/** Wait before a partition is tried again that is another's, or in which a delivery is just being committed. */
const SOON_MS = 50;
/** So often in a row a lane may be fenced before that counts as a failure. */
const HAND_OVER_TRIES = 3;

/** What {@link LaneSeats} work with. */
export interface LaneSeatsDependencies {
  readonly group: string;
  readonly membership: Pick<GroupMembership, 'memberId' | 'reclaim'>;
  readonly topics: Pick<Topics, 'locate'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The partitions that a process owns, and their lanes: opens these in batches, opens those again that have failed, and knows
 * which of them have something to do, so that the many that have not cost nothing.
 */
export class LaneSeats {
  readonly #seats = new Map<number, Seat>();
  /** The lanes that may have something to start. */
  readonly #working = new Set<PartitionLane>();

  constructor(private readonly parts: LaneSeatsDependencies) {}

  /** Partitions, opened or not. */
  get size(): number {
    return this.#seats.size;
  }

  /** The partitions that cannot be consumed, and why. */
  get failures(): { topic: string; partition: number; reason: string }[] {
    return [...this.#seats.values()].flatMap(({ ownership, failure }) => {
      if (failure === undefined) return [];
      const place = this.parts.topics.locate(ownership.partitionId);
      return [{ topic: place?.topic ?? '?', partition: place?.number ?? -1, reason: failure }];
    });
  }

  /** The lanes that are open. */
  lanes(): PartitionLane[] {
    const lanes: PartitionLane[] = [];
    for (const { lane } of this.#seats.values()) if (lane !== undefined && !lane.stopped) lanes.push(lane);
    return lanes;
  }

  /** Takes a partition in that is this process's from now on. */
  assign(ownership: Ownership): void {
    this.#seats.set(ownership.partitionId, seatFor(ownership));
  }

  /** Forgets a partition; returns its lane, which the caller ends. */
  take(partitionId: number): PartitionLane | undefined {
    const lane = this.#seats.get(partitionId)?.lane;
    this.#seats.delete(partitionId);
    if (lane !== undefined) this.#working.delete(lane);
    return lane;
  }

  /**
   * Opens lanes that are due, a batch of them, from where the group stands; opens those again that have stopped while their
   * partitions were still ours, as after a lease that had run out and was not taken by another.
   * @returns whether more are due
   */
  async openDue(opener: LaneOpener): Promise<boolean> {
    const due = this.#due();
    const batch = await this.#reclaimed(due.slice(0, OPENED_TOGETHER));
    if (batch.length > 0) await this.#open(batch, opener);
    return due.length > OPENED_TOGETHER;
  }

  #due(): Seat[] {
    const now = this.parts.clock.monotonic();
    const due: Seat[] = [];
    const ended: Seat[] = [];
    for (const seat of this.#seats.values()) {
      if (seat.lane === undefined) {
        if (now >= seat.openAt) due.push(seat);
      } else if (seat.lane.stopped) {
        seat.suspectEnd = seat.lane.suspectEnd;
        ended.push(seat);
      }
    }
    if (ended.length > 0) this.#fail(ended, 'its lane ended');
    return due;
  }

  /** Those seats that may be opened: where something may have been written, the epoch has been raised. */
  async #reclaimed(seats: readonly Seat[]): Promise<Seat[]> {
    const written = seats.filter((seat) => seat.written);
    if (written.length === 0) return [...seats];
    const ready = seats.filter((seat) => !seat.written);
    try {
      const reclaimed = await this.parts.membership.reclaim(written.map(({ ownership }) => ownership));
      const byPartition = new Map(reclaimed.map((ownership) => [ownership.partitionId, ownership]));
      for (const seat of written) {
        const ownership = byPartition.get(seat.ownership.partitionId);
        // It is another's, as the next heartbeat will say, or a delivery's transaction has not ended yet.
        if (ownership === undefined) this.#later(seat, SOON_MS);
        else {
          seat.ownership = ownership;
          ready.push(seat);
        }
      }
    } catch (error) {
      this.#fail(written, error);
    }
    return ready;
  }

  async #open(seats: readonly Seat[], opener: LaneOpener): Promise<void> {
    const requests = seats.map((seat) => {
      // The answer to what the opening writes may be lost, too.
      seat.written = true;
      const { ownership, opened: again, losses, suspectEnd } = seat;
      return { ownership, before: { again, losses, suspectEnd } };
    });
    const opened = await opener.open(requests, this.parts.membership.memberId);
    const failed = new Map<unknown, Seat[]>();
    for (const seat of seats) {
      const { partitionId } = seat.ownership;
      const result = opened.get(partitionId);
      if (result === undefined) continue;
      if ('error' in result) {
        const those = failed.get(result.error) ?? [];
        those.push(seat);
        failed.set(result.error, those);
        continue;
      }
      seat.opened = true;
      // The partition may have been taken away while its position was read.
      if (this.#seats.get(partitionId) !== seat) continue;
      seat.failure = undefined;
      seat.lane = result.lane;
      if (result.lane === undefined) this.#later(seat, LONGEST_REOPEN_MS);
      else this.#working.add(result.lane);
    }
    for (const [error, those] of failed) this.#fail(those, error);
  }

  #later(seat: Seat, ms: number): void {
    seat.openAt = this.parts.clock.monotonic() + ms;
  }

  /** Gives a fetched batch to its lane. */
  feed(batch: FetchedBatch): void {
    const lane = this.#seats.get(batch.partitionId)?.lane;
    if (lane === undefined) return;
    this.#working.add(lane);
    try {
      lane.feed(batch);
    } catch (error) {
      this.fail(batch.partitionId, error);
    }
  }

  /** Has every lane looked at again, as after a look at what operators have decided. */
  stirAll(): void {
    for (const lane of this.lanes()) if (!lane.isIdle) this.#working.add(lane);
  }

  /** Starts what may run. */
  pump(): void {
    for (const lane of this.#working) {
      lane.pump();
      if (lane.stopped || lane.isIdle) this.#working.delete(lane);
    }
  }

  /** Ends the lane of a partition; it is opened again after a while. */
  fail(partitionId: number, error: unknown): void {
    const seat = this.#seats.get(partitionId);
    if (seat !== undefined) this.#fail([seat], error);
  }

  #fail(seats: readonly Seat[], error: unknown): void {
    const now = this.parts.clock.monotonic();
    const failure = describeError(error);
    const broken = seats.filter((seat) => {
      seat.lane?.abort();
      const isOld = now - seat.openAt > FORGET_FAILURES_MS;
      if (isOld || seat.lane?.hasProgressed === true) seat.failures = 0;
      if (seat.lane !== undefined) this.#working.delete(seat.lane);
      seat.lane = undefined;
      seat.failures += 1;
      // A member that has not heard yet that another owns its partition is fenced: that is how it is handed over.
      const isHandOver = isFenced(error) && seat.failures <= HAND_OVER_TRIES;
      seat.failure = isHandOver ? undefined : failure;
      this.#later(seat, Math.min(LONGEST_REOPEN_MS, 100 * 2 ** Math.min(seat.failures, 7)));
      return !isHandOver;
    });
    const { logger } = this.parts;
    const gone = seats.filter((seat) => !broken.includes(seat));
    if (gone.length > 0) logger.info(...this.#line(gone, 'went over to another member'));
    if (broken.length > 0) logger.error(...this.#line(broken, `cannot be consumed: ${failure}`));
  }

  /** A log line about one partition, or about several that fared alike. */
  #line(seats: readonly Seat[], what: string): [string, Record<string, string | number | undefined>] {
    const { group, topics } = this.parts;
    const place = topics.locate(seats[0]?.ownership.partitionId ?? -1);
    const fields = { group, topic: place?.topic, partition: place?.number };
    if (seats.length === 1) return [`a partition ${what}`, fields];
    return [`${seats.length} partitions ${what}`, { ...fields, partitions: seats.length }];
  }
}

import {
  BackgroundService,
  Bell,
  type Clock,
  describeError,
  invariant,
  type Logger,
  newId,
  type PgDatabase,
  systemClock,
} from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import type { LogSignals } from '../engine/log-signals.js';
import type {
  Grant,
  Membership,
  MembershipOptions,
  ReportedPosition,
  TakenPartition,
} from '../engine/membership.js';
import type { Topics } from '../engine/topics.js';
import { assignRange } from '../engine/assign-range.js';
import { ReleaseBatch } from './release-batch.js';
import {
  assignPartitions,
  busIdentity,
  heartbeat,
  joinGroup,
  leaveGroup,
  lockGroup,
  newToGroup,
  readMembers,
  readOwners,
  removeExpiredMembers,
  reportPositions,
  reportTaken,
} from '../statements.generated.js';

type OwnerRow = { partitionId: number; ownerId: string | null; ownerEpoch: number; targetId: string | null };

/**
 * One member of a consumer group. It heartbeats by the database's clock; a member that finds that the assignment no
 * longer fits the members takes the group's lock and recomputes it. A partition changes hands only after its owner has
 * released it, or the owner's lease has expired.
 */
export class GroupMembership implements Membership {
  /** This member's id; new for every start. */
  readonly memberId: string;
  readonly #options: MembershipOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #service: BackgroundService;
  readonly #owned = new Map<number, Grant>();
  /** Partitions being released: drained while the heartbeats continue. */
  readonly #releasing = new Map<number, Promise<void>>();
  readonly #releases: ReleaseBatch;
  #groupId: number | undefined;
  #logEpoch = 0;
  /** When the log's server was started, when this member joined. */
  #incarnation: number | undefined;
  #heardAt = 0;
  #leaving = false;
  /** The digest of the group as this member has followed it: while it is the same, there is nothing to do. */
  #settled: string | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(
    private readonly database: PgDatabase,
    private readonly topics: Pick<Topics, 'findAll'>,
    private readonly signals: Pick<LogSignals, 'send' | 'subscribe'>,
    options: MembershipOptions,
  ) {
    this.#options = options;
    this.memberId = options.memberId ?? newId();
    this.#logger = guardLogger(options.logger);
    this.#clock = options.clock ?? systemClock;
    this.#releases = new ReleaseBatch(database.session, this.memberId);
    const bell = new Bell();
    this.#service = new BackgroundService({
      name: `the membership of group ${options.group}`,
      runOnce: () => this.runOnce(),
      idleMinMs: options.heartbeatMs,
      idleMaxMs: options.heartbeatMs,
      failureMaxMs: options.heartbeatMs,
      bell,
      clock: this.#clock,
      logger: this.#logger,
    });
  }

  /** The group's id in the database. Known after the start. */
  get groupId(): number {
    return this.#groupId ?? -1;
  }

  /** The partitions that this member owns, as far as it knows. */
  get owned(): readonly Grant[] {
    return [...this.#owned.values()];
  }

  /** Whether the lease has certainly expired: no heartbeat has succeeded for that long. */
  get leaseLapsed(): boolean {
    return this.#clock.monotonic() - this.#heardAt > this.#options.leaseMs;
  }

  /** Joins the group. */
  async start(): Promise<void> {
    await this.#join();
    this.#unsubscribe = this.signals.subscribe('group', this.#service.bell);
    this.#service.start();
  }

  /**
   * Joins the group by its name, and loses what it had in one of another id. A log that went back may have lost the group, and
   * have given its id to another one since.
   */
  async #join(): Promise<void> {
    const { group, serviceId } = this.#options;
    const { session } = this.database;
    // Before the id: joined on a server that is left right after, it joins once more.
    const [identity] = await session.run(busIdentity);
    const [row] = await session.run(joinGroup, group, serviceId());
    if (row?.groupId !== this.#groupId) for (const grant of this.owned) this.#giveUp(grant, 'onLost');
    this.#groupId = row?.groupId;
    this.#incarnation = identity?.incarnation;
  }

  /**
   * Releases every partition and leaves the group, so that others take over immediately. A second call does nothing.
   */
  async stop(): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    // The heartbeats continue until the last delivery has ended, but claim no more partitions.
    this.#service.bell.ring();
    for (const grant of this.owned) this.#giveUp(grant, 'onRevoked');
    await Promise.all(this.#releasing.values());
    this.#unsubscribe?.();
    await this.#service.stop();
    if (this.#groupId === undefined) return;
    try {
      await this.database.session.run(leaveGroup, this.#groupId, this.memberId);
      this.signals.send('group');
    } catch (error) {
      this.#logger.warn(
        `leaving group ${this.#options.group} failed; its lease will expire: ${describeError(error)}`,
      );
    }
  }

  async holds(grants: readonly Grant[]): Promise<ReadonlyMap<number, Grant>> {
    const owners = await this.database.session.run(readOwners, this.groupId);
    const mine = new Map(
      owners
        .filter(({ ownerId }) => ownerId === this.memberId)
        .map((row) => [row.partitionId, row.ownerEpoch]),
    );
    const held = grants.filter(({ partitionId, grantEpoch }) => mine.get(partitionId) === grantEpoch);
    return new Map(held.map((grant) => [grant.partitionId, grant]));
  }

  async reportTaken(taken: readonly TakenPartition[]): Promise<ReadonlyMap<number, number>> {
    if (taken.length === 0) return new Map();
    const rows = await this.database.session.run(
      reportTaken,
      this.groupId,
      taken.map(({ partitionId }) => partitionId),
      this.memberId,
      taken.map(({ grantEpoch }) => grantEpoch),
      taken.map(({ ownerEpoch }) => ownerEpoch),
    );
    return new Map(rows.map(({ partitionId, takenBefore }) => [partitionId, takenBefore]));
  }

  async reportPositions(positions: readonly ReportedPosition[]): Promise<void> {
    if (positions.length === 0) return;
    await this.database.session.run(
      reportPositions,
      this.groupId,
      positions.map(({ partitionId }) => partitionId),
      positions.map(({ ownerEpoch }) => ownerEpoch),
      positions.map(({ position }) => position),
    );
  }

  async newToGroup(topics: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.database.session.run(newToGroup, this.groupId, topics);
    return new Set(rows.map(({ topic }) => topic));
  }

  /** One heartbeat, and the changes that follow from it. */
  async runOnce(): Promise<'idle'> {
    const heardAt = this.#clock.monotonic();
    const session = this.database.session;
    const topics = this.#leaving ? [] : this.#options.topics();
    const digest = await this.#beat(topics);
    this.#heardAt = heardAt;
    if (this.#leaving || (this.#settled === digest && this.#releasing.size === 0)) return 'idle';
    const { groupId } = this;
    const owners = await session.run(readOwners, groupId);
    const isOutdated = await this.#isOutdated(owners);
    if (isOutdated) await this.#rebalance();
    await this.#follow(isOutdated ? await session.run(readOwners, groupId) : owners);
    if (!isOutdated && this.#releasing.size === 0) this.#settled = digest;
    return 'idle';
  }

  /**
   * Extends the lease; joins again first if the log is on another server, or its server was started again.
   * @returns the digest of the group
   */
  async #beat(topics: readonly string[]): Promise<string> {
    const { session } = this.database;
    for (;;) {
      const known = this.#incarnation ?? 0;
      const [beat] = await session.run(
        heartbeat,
        this.groupId,
        this.memberId,
        topics,
        this.#options.leaseMs,
        known,
      );
      invariant(beat !== undefined, 'the heartbeat returned no row');
      this.#logEpoch = beat.logEpoch;
      if (beat.incarnation === known) return beat.digest;
      await this.#join();
    }
  }

  /** Brings this member's partitions in line with the owners' rows. */
  async #follow(owners: readonly OwnerRow[]): Promise<void> {
    const mine = new Map(
      owners.filter((row) => row.ownerId === this.memberId).map((row) => [row.partitionId, row]),
    );
    for (const grant of this.owned) {
      const row = mine.get(grant.partitionId);
      if (row === undefined || row.ownerEpoch !== grant.grantEpoch) this.#giveUp(grant, 'onLost');
      else if (row.targetId !== null) this.#giveUp(grant, 'onRevoked');
    }
    const promised: Promise<void>[] = [];
    for (const row of mine.values()) {
      if (this.#owned.has(row.partitionId) || this.#releasing.has(row.partitionId)) continue;
      if (row.targetId !== null) {
        // Promised to another member before this one had begun with it.
        promised.push(this.#releases.release(this.groupId, row.partitionId));
        continue;
      }
      const grant = { partitionId: row.partitionId, grantEpoch: row.ownerEpoch, logEpoch: this.#logEpoch };
      await this.#options.listener.onAssigned(grant);
      this.#owned.set(row.partitionId, grant);
    }
    if (promised.length === 0) return;
    await Promise.all(promised);
    this.signals.send('group');
  }

  #giveUp(grant: Grant, how: 'onRevoked' | 'onLost'): void {
    this.#settled = undefined;
    const { partitionId } = grant;
    this.#owned.delete(partitionId);
    const done = this.#letGo(grant, how).finally(() => {
      this.#releasing.delete(partitionId);
      this.#service.bell.ring();
    });
    this.#releasing.set(partitionId, done);
  }

  async #letGo(grant: Grant, how: 'onRevoked' | 'onLost'): Promise<void> {
    const { partitionId } = grant;
    try {
      await this.#options.listener[how](grant);
      if (how === 'onLost') return;
      await this.#releases.release(this.groupId, partitionId);
      this.signals.send('group');
    } catch (error) {
      const group = this.#options.group;
      this.#logger.warn(`releasing a partition failed; the lease will expire: ${describeError(error)}`, {
        group,
        partitionId,
      });
    }
  }

  /** Whether the owners' rows differ from the assignment for the live members. */
  async #isOutdated(owners: readonly OwnerRow[]): Promise<boolean> {
    const members = await this.database.session.run(readMembers, this.groupId);
    if (members.some((member) => !member.alive)) return true;
    const alive = new Set(members.map(({ memberId }) => memberId));
    const wanted = assignRange(members, await this.#partitionsOf(members));
    const byPartition = new Map(owners.map((row) => [row.partitionId, row]));
    for (const [partitionId, memberId] of wanted) {
      const row = byPartition.get(partitionId);
      if (row === undefined || row.ownerId === null || !alive.has(row.ownerId)) return true;
      if ((row.targetId ?? row.ownerId) !== memberId) return true;
    }
    return false;
  }

  async #rebalance(): Promise<void> {
    await this.database.transaction(async (connection) => {
      await connection.run(lockGroup, this.groupId);
      // Read after taking the lock, each in a separate statement: the decisions of others are visible.
      await connection.run(removeExpiredMembers, this.groupId);
      const members = await connection.run(readMembers, this.groupId);
      const wanted = assignRange(members, await this.#partitionsOf(members));
      await connection.run(assignPartitions, this.groupId, [...wanted.keys()], [...wanted.values()]);
    });
    this.#logger.info(`group ${this.#options.group} was rebalanced`, { memberId: this.memberId });
    this.signals.send('group');
  }

  async #partitionsOf(
    members: readonly { readonly topics: readonly string[] }[],
  ): Promise<Map<string, readonly number[]>> {
    const topics = await this.topics.findAll(new Set(members.flatMap((member) => member.topics)));
    return new Map([...topics].map(([name, { partitionIds }]) => [name, partitionIds]));
  }
}

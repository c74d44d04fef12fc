import { statement } from '@waybill/kernel/internal';
import type { ModelServer } from '../../model/model-server.js';
import { ProgressOwnerModel } from '../../model/progress-owner-model.js';
import { Table, type Version } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';

interface MemberRow {
  readonly memberId: string;
  readonly topics: readonly string[];
  readonly leaseUntilMs: number;
}

/** The owner of a partition. */
export interface OwnerModelRow {
  readonly partitionId: number;
  readonly ownerId: string | null;
  readonly ownerEpoch: number;
  readonly targetId: string | null;
  /** The highest owner epoch that was reported. */
  readonly takenEpoch: number;
}

/** The server of the bus: it stays the same, as a member that has not joined by name takes it for. */
const SERVER = { logEpoch: 1, incarnation: 0 };

/** A change of an owner, for the rules. */
export interface OwnerChange {
  readonly partitionId: number;
  readonly from: string | null;
  readonly how: 'assign' | 'release';
  /** Whether the old owner's lease was valid when the change was decided, which is before it waits for the row. */
  readonly wasAlive: boolean;
}

/** An effect for a partition; its fence follows. */
export const partitionEffect = statement<[partitionId: number, memberId: string, epoch: number], never>(
  'partition-effect',
  '',
);

/**
 * A model of a consumer group: ports of libs/log/sql/group (heartbeat, read-members, read-owners, lock-group,
 * remove-expired-members, assign-partitions, release-partition, release-partitions, report-taken), and of the functions that
 * they call in libs/schema/migrations/bus/0004-groups.sql. The owners in the service's database are a
 * {@link ProgressOwnerModel}.
 */
export class MembershipModel {
  readonly members = new Table<MemberRow>();
  readonly owners = new Table<OwnerModelRow>();
  readonly progress: ProgressOwnerModel;

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    this.progress = new ProgressOwnerModel(server, bug);
    server.define({
      heartbeat: this.#heartbeat.bind(this),
      'read-members': (transaction: Transaction) =>
        server
          .rows(this.members, transaction)
          .map((row) => ({ ...row, alive: row.leaseUntilMs > server.world.nowMs })),
      'read-owners': (transaction: Transaction) => server.rows(this.owners, transaction),
      'lock-group': (transaction: Transaction) => this.#lockGroup(transaction),
      'remove-expired-members': this.#removeExpired.bind(this),
      'assign-partitions': this.#assign.bind(this),
      'release-partition': this.#release.bind(this),
      'release-partitions': this.#releaseAll.bind(this),
      'report-taken': this.#reportTaken.bind(this),
      'bus-identity': () => [{ busId: 'bus', ...SERVER }],
      'partition-effect': (
        transaction: Transaction,
        partitionId: number,
        memberId: string,
        epoch: number,
      ) => {
        server.xidOf(transaction);
        transaction.fact('effect', { partitionId, memberId, epoch });
        return [];
      },
    });
  }

  async #lockGroup(transaction: Transaction): Promise<unknown[]> {
    if (this.bug !== 'no-group-lock') await this.server.locks.take('group', transaction, 'exclusive');
    return [{ generation: 1 }];
  }

  #isAlive(transaction: Transaction, memberId: string | null): boolean {
    const { nowMs } = this.server.world;
    return this.server
      .rows(this.members, transaction)
      .some((row) => row.memberId === memberId && row.leaseUntilMs > nowMs);
  }

  #owner(transaction: Transaction, partitionId: number): Version<OwnerModelRow> | undefined {
    return this.owners
      .seen(this.server.snapshot(), transaction)
      .find(({ row }) => row.partitionId === partitionId);
  }

  async #heartbeat(
    transaction: Transaction,
    _group: number,
    memberId: string,
    topics: readonly string[],
    leaseMs: number,
  ): Promise<unknown[]> {
    // Of the statement's snapshot, which its own write does not change.
    const digest = this.#digest(transaction);
    await this.server.locks.take(`member ${memberId}`, transaction, 'exclusive');
    this.server.xidOf(transaction);
    const row = { memberId, topics, leaseUntilMs: this.server.world.nowMs + leaseMs };
    const known = this.members
      .seen(this.server.snapshot(), transaction)
      .find((version) => version.row.memberId === memberId);
    if (known === undefined) this.members.insert(transaction, row);
    else this.members.replace(transaction, known, row);
    return [{ ...SERVER, digest }];
  }

  #digest(transaction: Transaction): string {
    const { server } = this;
    const owners = server
      .rows(this.owners, transaction)
      .map(({ partitionId, ownerId, ownerEpoch, targetId }) => [partitionId, ownerId, ownerEpoch, targetId]);
    const members = server
      .rows(this.members, transaction)
      .map(({ memberId, topics, leaseUntilMs }) => [memberId, topics, leaseUntilMs > server.world.nowMs]);
    return JSON.stringify([owners.map(String).toSorted(), members.map(String).toSorted()]);
  }

  async #removeExpired(transaction: Transaction): Promise<{ memberId: string }[]> {
    const { world, locks } = this.server;
    const removed: { memberId: string }[] = [];
    for (const { memberId, leaseUntilMs } of this.server.rows(this.members, transaction)) {
      if (leaseUntilMs > world.nowMs) continue;
      await locks.take(`member ${memberId}`, transaction, 'exclusive');
      // After a wait, the row's newest version is tested again.
      const version = this.members
        .seen(this.server.snapshot(), transaction)
        .find(({ row }) => row.memberId === memberId && row.leaseUntilMs <= world.nowMs);
      if (version === undefined) continue;
      this.server.xidOf(transaction);
      this.members.remove(transaction, version);
      removed.push({ memberId });
    }
    return removed;
  }

  /** Port of group_assign: what is free is decided by the statement's snapshot, before it waits for owners' rows. */
  async #assign(
    transaction: Transaction,
    _group: number,
    partitionIds: readonly number[],
    memberIds: readonly string[],
  ): Promise<never[]> {
    this.server.xidOf(transaction);
    for (const partitionId of partitionIds)
      if (this.#owner(transaction, partitionId) === undefined)
        this.owners.insert(transaction, {
          partitionId,
          ownerId: null,
          ownerEpoch: 1,
          targetId: null,
          takenEpoch: 0,
        });
    const decided = partitionIds.map((partitionId, at) => {
      const decidedOn = this.#owner(transaction, partitionId)?.row.ownerId ?? null;
      const wasAlive = this.#isAlive(transaction, decidedOn);
      const free = this.bug === 'assign-takes' || !wasAlive;
      return { partitionId, memberId: memberIds[at] as string, free, decidedOn, wasAlive };
    });
    for (const { partitionId, memberId, free, decidedOn, wasAlive } of decided) {
      const isToChange = ({ ownerId, targetId }: OwnerModelRow): boolean =>
        free
          ? ownerId !== memberId || targetId !== null
          : targetId !== (memberId === ownerId ? null : memberId);
      const seen = this.#owner(transaction, partitionId);
      if (seen === undefined || !isToChange(seen.row)) continue;
      await this.server.locks.take(`owner ${partitionId}`, transaction, 'exclusive');
      const version = this.#owner(transaction, partitionId);
      if (version === undefined || !isToChange(version.row)) continue;
      if (free) {
        // An owner that wakes while this waits for its row has lost it; another owner was not decided on.
        const isAnother = version.row.ownerId !== decidedOn;
        const toNext = { ownerId: memberId, targetId: null };
        this.#change(transaction, version, 'assign', toNext, isAnother ? undefined : wasAlive);
      } else {
        const targetId = memberId === version.row.ownerId ? null : memberId;
        this.owners.replace(transaction, version, { targetId });
        this.server.world.note(() => `partition ${partitionId}: promised to ${targetId ?? 'its owner'}`);
      }
    }
    return [];
  }

  async #release(
    transaction: Transaction,
    _group: number,
    partitionId: number,
    memberId: string,
  ): Promise<never[]> {
    await this.#lockGroup(transaction);
    await this.server.locks.take(`owner ${partitionId}`, transaction, 'exclusive');
    const version = this.#owner(transaction, partitionId);
    if (version?.row.ownerId === memberId) this.#letGo(transaction, version);
    return [];
  }

  async #releaseAll(
    transaction: Transaction,
    _group: number,
    partitionIds: readonly number[],
    memberId: string,
  ): Promise<{ partitionId: number }[]> {
    await this.#lockGroup(transaction);
    const released: { partitionId: number }[] = [];
    for (const partitionId of partitionIds) {
      const version = this.#owner(transaction, partitionId);
      if (version?.row.ownerId !== memberId) continue;
      if (!this.server.locks.tryTake(`owner ${partitionId}`, transaction, 'exclusive')) continue;
      this.#letGo(transaction, version);
      released.push({ partitionId });
    }
    return released;
  }

  #letGo(transaction: Transaction, version: Version<OwnerModelRow>): void {
    this.#change(transaction, version, 'release', { ownerId: version.row.targetId, targetId: null });
  }

  async #reportTaken(
    transaction: Transaction,
    _group: number,
    partitionIds: readonly number[],
    memberId: string,
    grants: readonly number[],
    taken: readonly number[],
  ): Promise<{ partitionId: number; takenBefore: number }[]> {
    const reported: { partitionId: number; takenBefore: number }[] = [];
    for (const [at, partitionId] of partitionIds.entries()) {
      await this.server.locks.take(`owner ${partitionId}`, transaction, 'exclusive');
      const version = this.#owner(transaction, partitionId);
      if (version?.row.ownerId !== memberId || version.row.ownerEpoch !== grants[at]) continue;
      const { takenEpoch } = version.row;
      const newest = Math.max(takenEpoch, taken[at] as number);
      this.server.xidOf(transaction);
      if (newest > takenEpoch) this.owners.replace(transaction, version, { takenEpoch: newest });
      reported.push({ partitionId, takenBefore: takenEpoch });
    }
    return reported;
  }

  #change(
    transaction: Transaction,
    version: Version<OwnerModelRow>,
    how: OwnerChange['how'],
    change: Partial<OwnerModelRow>,
    wasAlive = this.#isAlive(transaction, version.row.ownerId),
  ): OwnerModelRow {
    const { partitionId, ownerId, ownerEpoch } = version.row;
    this.server.xidOf(transaction);
    transaction.fact('change', { partitionId, from: ownerId, how, wasAlive } satisfies OwnerChange);
    const row = this.owners.replace(transaction, version, { ...change, ownerEpoch: ownerEpoch + 1 });
    this.server.world.note(
      () => `partition ${partitionId}: ${how}, owner ${row.ownerId ?? 'none'}, epoch ${row.ownerEpoch}`,
    );
    return row;
  }
}

import { type Ownership, PartitionProgress, ProgressOwners } from '@waybill/consumer';
import { bindStatement, ProgressWentBackError, silentLogger } from '@waybill/kernel';
import type { Grant, LogSignals, Topics } from '@waybill/log';
import { GroupMembership } from '@waybill/log/postgres/internal';
import { ModelDatabase } from '../../model/model-database.js';
import type { ModelServer } from '../../model/model-server.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import { partitionEffect } from './membership-model.js';

const GROUP_ID = 1;
export const LEASE_MS = 1_000;
const HEARTBEAT_MS = 300;
const WORK_MS = 500;

/** A process with the product's membership, which writes for each partition that it owns. */
export class Member {
  readonly process: SimProcess;
  readonly membership: GroupMembership;
  readonly #database: ModelDatabase;
  readonly #owners: ProgressOwners;
  /** The partitions it works on: granted, and taken once it has begun. */
  readonly #working = new Map<number, { readonly grant: Grant; ownership?: Ownership | undefined }>();
  /** It leaves the group, and then ends. */
  isLeaving = false;

  constructor(
    private readonly world: World,
    server: ModelServer,
    readonly memberId: string,
    partitionIds: readonly number[],
    /** Whether its effects and their fence go in one round trip. */
    private readonly together: boolean,
  ) {
    this.process = new SimProcess(world, memberId);
    this.#database = new ModelDatabase(server, this.process);
    const topic = { name: 'orders', partitionIds };
    const topics = { findAll: async () => new Map([['orders', topic]]) } as unknown as Topics;
    const signals = { send: () => {}, subscribe: () => () => {} } as unknown as LogSignals;
    this.membership = new GroupMembership(this.#database.asDatabase, topics, signals, {
      group: 'group',
      serviceId: () => 'service',
      topics: () => ['orders'],
      leaseMs: LEASE_MS,
      heartbeatMs: HEARTBEAT_MS,
      memberId,
      clock: this.process.clock,
      logger: silentLogger,
      listener: {
        onAssigned: async (grant) => void this.#working.set(grant.partitionId, { grant }),
        onRevoked: async ({ partitionId }) => {
          this.#working.delete(partitionId);
          await this.process.clock.sleep(world.choices.oneOf([0, 200]));
        },
        onLost: async ({ partitionId }) => void this.#working.delete(partitionId),
      },
    });
    const { membership } = this;
    const database = this.#database.asDatabase;
    this.#owners = new ProgressOwners({ database, membership, groupId: () => GROUP_ID });
  }

  start(): void {
    this.process.spawn(async () => {
      while (!this.isLeaving) {
        await this.membership.runOnce().catch(() => {});
        await this.process.clock.sleep(HEARTBEAT_MS);
      }
    });
    this.process.spawn(async () => {
      for (;;) {
        await this.process.clock.sleep(WORK_MS);
        for (const partitionId of this.#working.keys()) await this.#work(partitionId);
      }
    });
  }

  /** Lets go of everything; its lease then ends by itself. */
  leave(): void {
    this.isLeaving = true;
    this.process.spawn(async () => {
      await this.membership.stop();
      this.process.crash();
    });
  }

  async #work(partitionId: number): Promise<void> {
    const worked = this.#working.get(partitionId);
    if (worked === undefined) return;
    if (worked.ownership === undefined) await this.#take(worked);
    const { ownership } = worked;
    if (ownership === undefined || this.#working.get(partitionId) !== worked) return;
    const progress = new PartitionProgress(GROUP_ID, ownership, 1);
    const effect = bindStatement(partitionEffect, partitionId, this.memberId, ownership.ownerEpoch);
    try {
      if (this.together) await this.#database.runTogether([effect, progress.fence()]);
      else {
        await this.#database.transaction(async (connection) => {
          await connection.runBatch([effect]);
          await connection.runBatch([progress.fence()]);
        });
      }
    } catch {
      // The outcome may be unknown: what follows is written under a new epoch.
      const reclaimed = await this.#owners.reclaim([ownership]).catch(() => undefined);
      if (reclaimed !== undefined) worked.ownership = reclaimed.get(partitionId) ?? worked.ownership;
      if (reclaimed?.has(partitionId) === false) worked.ownership = undefined;
    }
  }

  async #take(worked: { readonly grant: Grant; ownership?: Ownership | undefined }): Promise<void> {
    const taken = await this.#owners.take([worked.grant]).catch((error: unknown) => {
      if (error instanceof ProgressWentBackError)
        this.world.broken('no take is older than the last', error.message);
      return undefined;
    });
    const ownership = taken?.get(worked.grant.partitionId);
    if (ownership instanceof ProgressWentBackError)
      this.world.broken('no take is older than the last', ownership.message);
    else worked.ownership = ownership;
  }
}

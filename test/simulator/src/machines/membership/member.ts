import { PartitionProgress } from '@waybill/consumer';
import { bindStatement, silentLogger } from '@waybill/kernel';
import type { LogSignals, Ownership, Topics } from '@waybill/log';
import { GroupMembership } from '@waybill/log/postgres/internal';
import { ModelDatabase } from '../../model/model-database.js';
import type { ModelServer } from '../../model/model-server.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import { partitionEffect } from './membership-model.js';

export const LEASE_MS = 1_000;
const HEARTBEAT_MS = 300;
const WORK_MS = 500;

/** A process with the product's membership, which writes for each partition that it owns. */
export class Member {
  readonly process: SimProcess;
  readonly membership: GroupMembership;
  readonly #database: ModelDatabase;
  /** The partitions it works on. */
  readonly #working = new Map<number, Ownership>();
  /** It leaves the group, and then ends. */
  isLeaving = false;

  constructor(
    world: World,
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
      topics: () => ['orders'],
      leaseMs: LEASE_MS,
      heartbeatMs: HEARTBEAT_MS,
      memberId,
      clock: this.process.clock,
      logger: silentLogger,
      listener: {
        onAssigned: async (ownership) => void this.#working.set(ownership.partitionId, ownership),
        onRevoked: async ({ partitionId }) => {
          this.#working.delete(partitionId);
          await this.process.clock.sleep(world.choices.oneOf([0, 200]));
        },
        onLost: async ({ partitionId }) => void this.#working.delete(partitionId),
      },
    });
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
        for (const ownership of this.#working.values()) await this.#work(ownership);
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

  async #work(ownership: Ownership): Promise<void> {
    const { partitionId, ownerEpoch } = ownership;
    const progress = new PartitionProgress(this.membership.groupId, this.memberId, ownership);
    const effect = bindStatement(partitionEffect, partitionId, this.memberId, ownerEpoch);
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
      const reclaimed = await this.membership.reclaim([ownership]).catch(() => []);
      for (const next of reclaimed) if (this.#working.has(partitionId)) this.#working.set(partitionId, next);
    }
  }
}

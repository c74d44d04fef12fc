import {
  type Delivery,
  type Handler,
  type Ownership,
  ProgressOwners,
  resolveSubscription,
  type Subscription,
} from '@waybill/consumer';
import {
  ConsumerCounters,
  LaneOpener,
  listRedriven,
  OwnedPartitions,
  Permits,
} from '@waybill/consumer/internal';
import { silentLogger } from '@waybill/kernel';
import { type FetchPosition, type Grant, type LogEngine, Sealer, type TakenPartition } from '@waybill/log';
import { ModelDatabase } from '../../model/model-database.js';
import type { ModelServer } from '../../model/model-server.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import { endHandler, type LaneLoad } from './lane-load.js';
import {
  claim,
  effect,
  GROUP_ID,
  type GrantRow,
  heartbeat,
  holds,
  LEASE_MS,
  PARTITION_ID,
  refused,
  release,
  reportTaken,
} from './lane-model.js';

const HEARTBEAT_MS = 300;
const FETCH_MS = 200;
const TICK_MS = 1_000;
const REDRIVES_MS = 900;
const DRAIN_MS = 500;
const MAX_CRASHES = 3;

/** Settings of a run that all its processes share. */
export interface LaneSettings {
  readonly concurrency: 'key' | 'partition';
  readonly transactionBatch: number;
  readonly batchMs: number;
  readonly delayMs: number;
  readonly maxConcurrency: number;
  readonly maxParked: number;
  readonly onDeadLetter: 'unblock' | 'park' | 'block';
  /** Whether verdicts and COMMIT go in one round trip. */
  readonly together: boolean;
}

/** What the rules want to know of a process. */
export interface LaneObserver {
  /** An attempt begins. */
  begins(delivery: Delivery): void;
}

/** A process of the group: a reduced consumer around the product's lanes. */
export class LaneProcess {
  readonly process: SimProcess;
  /** Offsets whose handlers run now. */
  readonly running = new Set<number>();
  readonly #partitions: OwnedPartitions;
  readonly #opener: LaneOpener;
  readonly #database: ModelDatabase;
  readonly #owners: ProgressOwners;
  #grant: Grant | undefined;
  #heardAt = 0;
  /** The epoch of the newest lane, also while it drains. */
  #epoch = 0;
  #isLeaving = false;

  constructor(
    private readonly world: World,
    server: ModelServer,
    readonly memberId: string,
    private readonly load: LaneLoad,
    private readonly settings: LaneSettings,
    private readonly observer: LaneObserver,
  ) {
    this.process = new SimProcess(world, memberId);
    const { clock } = this.process;
    this.#database = new ModelDatabase(server, this.process);
    const log = logOf(load, settings.onDeadLetter);
    const { topics } = log;
    this.#owners = new ProgressOwners({
      database: this.#database.asDatabase,
      membership: {
        memberId,
        holds: (grants) => this.#holds(grants),
        reportTaken: (taken) => this.#reportTaken(taken),
      },
      groupId: () => GROUP_ID,
    });
    const isLapsed = (): boolean => clock.monotonic() - this.#heardAt > LEASE_MS;
    this.#partitions = new OwnedPartitions({
      group: 'group',
      log,
      membership: {
        get leaseLapsed() {
          return isLapsed();
        },
      },
      owners: {
        take: async (grants) => this.#noted(await this.#owners.take(grants)),
        reclaim: async (owned) => this.#noted(await this.#owners.reclaim(owned)),
      },
      clock,
      logger: silentLogger,
    });
    const wake = (): void => this.#partitions.pump();
    const context = {
      group: 'group',
      groupId: GROUP_ID,
      databases: {
        database: this.#database.asDatabase,
        transactions: this.#database.runner(settings.together),
        prepared: false,
        sealer: Sealer.none,
        codecs: {},
      },
      topics,
      permits: new Permits(settings.maxConcurrency, wake),
      clock,
      random: () => 0.5,
      logger: silentLogger,
      counters: new ConsumerCounters(),
      budget: undefined,
      maxCrashes: MAX_CRASHES,
      maxParked: settings.maxParked,
      wake,
      onAttemptOutcome: undefined,
    };
    const subscription = subscriptionOf(settings, (delivery) => this.#handle(delivery));
    this.#opener = new LaneOpener(
      context,
      new Map([['orders', subscription]]),
      log,
      { newToGroup: async () => new Set() },
      'earliest',
    );
  }

  start(): void {
    this.process.spawn(() => this.#belong());
    this.process.spawn(() => this.#fetch());
    this.process.spawn(() => this.#tick());
    if (this.settings.onDeadLetter !== 'unblock') this.process.spawn(() => this.#watchRedrives());
  }

  /** Heartbeats, and follows the owner's row. */
  async #belong(): Promise<void> {
    for (;;) {
      await this.#follow().catch(() => {});
      await this.process.clock.sleep(HEARTBEAT_MS);
    }
  }

  async #follow(): Promise<void> {
    const { session } = this.#database;
    const heardAt = this.process.clock.monotonic();
    const [row] = await session.run(heartbeat, this.memberId);
    if (row === undefined) return;
    this.#heardAt = heardAt;
    const isMine = row.ownerId === this.memberId;
    if (this.#grant !== undefined && (!isMine || row.epoch !== this.#grant.grantEpoch)) {
      this.#grant = undefined;
      this.#partitions.take(PARTITION_ID)?.abort();
    }
    if (isMine && row.targetId !== null) return this.#giveUp();
    if (isMine && !this.#isLeaving && this.#grant === undefined) this.#assign(row);
    if (row.isFree) await session.run(claim, this.memberId);
  }

  /** Drains while the heartbeats go on, then releases. */
  #giveUp(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#grant = undefined;
    const lane = this.#partitions.take(PARTITION_ID);
    this.process.spawn(async () => {
      await lane?.drain(DRAIN_MS);
      await this.#database.session.run(release, this.memberId).catch(() => {});
      this.#isLeaving = false;
    });
  }

  #assign({ epoch }: GrantRow): void {
    this.#grant = { partitionId: PARTITION_ID, grantEpoch: epoch, logEpoch: 1 };
    this.#partitions.assign(this.#grant);
  }

  async #holds(grants: readonly Grant[]): Promise<ReadonlyMap<number, Grant>> {
    const held = new Map<number, Grant>();
    for (const grant of grants) {
      const rows = await this.#database.session.run(holds, this.memberId, grant.grantEpoch);
      if (rows.length > 0) held.set(grant.partitionId, grant);
    }
    return held;
  }

  async #reportTaken(taken: readonly TakenPartition[]): Promise<ReadonlyMap<number, number>> {
    const before = new Map<number, number>();
    for (const { partitionId, grantEpoch, ownerEpoch } of taken) {
      const [row] = await this.#database.session.run(reportTaken, this.memberId, grantEpoch, ownerEpoch);
      if (row === undefined) continue;
      if (ownerEpoch > 0 && row.takenBefore >= ownerEpoch)
        this.world.broken('a take is reported once', `epoch ${ownerEpoch} after ${row.takenBefore}`);
      before.set(partitionId, row.takenBefore);
    }
    return before;
  }

  /** Notes the epoch of the newest lane, under which its handlers run. */
  #noted<T extends Ownership | Error | undefined>(taken: ReadonlyMap<number, T>): ReadonlyMap<number, T> {
    const ownership = taken.get(PARTITION_ID);
    if (ownership instanceof Error) this.world.broken('no take is older than the last', ownership.message);
    else if (ownership !== undefined) this.#epoch = ownership.ownerEpoch;
    return taken;
  }

  async #fetch(): Promise<void> {
    for (;;) {
      await this.#partitions.openDue(this.#opener);
      for (const lane of this.#partitions.lanes()) {
        // One batch at a time, so that messages arrive while others run.
        const offset = lane.wanted;
        if (offset !== undefined && offset < this.load.endOffset) {
          await this.world.step('fetches', this.process);
          this.#partitions.feed(this.load.batchAt(offset));
        }
      }
      this.#partitions.pump();
      await this.process.clock.sleep(FETCH_MS);
    }
  }

  async #tick(): Promise<void> {
    for (;;) {
      await this.process.clock.sleep(TICK_MS);
      for (const lane of this.#partitions.lanes()) if (lane.hasMoved) await lane.tick();
    }
  }

  /** As RedriveWatch does: passes operators' decisions to the lane. */
  async #watchRedrives(): Promise<void> {
    for (;;) {
      await this.process.clock.sleep(REDRIVES_MS);
      const lanes = this.#partitions.lanes();
      if (lanes.length === 0) continue;
      const rows = await this.#database.session
        .run(listRedriven, GROUP_ID, [PARTITION_ID])
        .catch(() => undefined);
      if (rows === undefined) continue;
      for (const lane of lanes) lane.reconcile(rows);
      this.#partitions.stirAll();
      this.#partitions.pump();
    }
  }

  async #handle(delivery: Delivery): Promise<void> {
    const { offset, session, attempt } = delivery;
    const epoch = this.#epoch;
    const mood = this.load.moodOf(offset);
    this.world.note(() => `${this.memberId}: attempt ${attempt} of message ${offset}: ${mood}`);
    this.observer.begins(delivery);
    if ((await session.failure?.()) !== undefined)
      this.world.broken('a handler begins in a sound transaction', `that of message ${offset} does not`);
    this.running.add(offset);
    try {
      await session.run(effect, offset, this.memberId, epoch);
      // It tells nobody that its transaction has failed.
      if (mood === 'hide') return void (await session.run(refused).catch(() => {}));
      if (mood === 'slow') await this.process.clock.sleep(400);
      if (mood === 'crash') {
        this.process.crash();
        await this.world.step('never goes on', this.process);
      }
      endHandler(mood);
      this.load.succeeded.add(offset);
    } finally {
      this.running.delete(offset);
    }
  }
}

const resolved = new Map<string, Subscription>();

/** Resolving options costs more than a short run. */
function subscriptionOf(
  { concurrency, transactionBatch, batchMs, delayMs }: LaneSettings,
  handler: Handler,
): Subscription {
  const name = `${concurrency} ${transactionBatch} ${batchMs} ${delayMs}`;
  let subscription = resolved.get(name);
  if (subscription === undefined) {
    const retry = { maxAttempts: 3, backoff: 'fixed', delayMs, jitterPercent: 0 } as const;
    subscription = resolveSubscription('orders', handler, { concurrency, transactionBatch, batchMs, retry });
    resolved.set(name, subscription);
  }
  return { ...subscription, handling: { kind: 'single', handler } };
}

const TOPIC = {
  name: 'orders',
  retentionMs: 1,
  onExpired: 'drop',
  partitionIds: [PARTITION_ID],
} as const;

/** The log as a lane's opener sees it. */
function logOf(load: LaneLoad, onDeadLetter: LaneSettings['onDeadLetter']): LogEngine {
  const topic = { ...TOPIC, onDeadLetter };
  const topics = {
    refresh: async () => new Map([[TOPIC.name, topic]]),
    locate: () => ({ topic: TOPIC.name, number: 0 }),
    find: async () => topic,
  };
  const offsets = async () => new Map([[PARTITION_ID, { startOffset: 0, endOffset: load.endOffset }]]);
  const identity = async () => ({ busId: 'bus', logEpoch: 1, incarnation: 1 });
  const checksumsBelow = async (places: readonly FetchPosition[]) =>
    new Map(places.map(({ partitionId, offset }) => [partitionId, offset - 1]));
  const cutsSince = async () => new Map();
  return { topics, offsets, identity, checksumsBelow, cutsSince } as unknown as LogEngine;
}

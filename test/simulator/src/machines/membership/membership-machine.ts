import { assignRange } from '@waybill/log';
import { ModelServer } from '../../model/model-server.js';
import type { Transaction } from '../../model/transaction.js';
import type { Machine } from '../../runner/machine.js';
import type { World } from '../../scheduler/world.js';
import { LEASE_MS, Member } from './member.js';
import { MembershipModel, type OwnerChange } from './membership-model.js';

const MOST_MEMBERS = 4;
const LOOK_MS = 200;
/** The last delays and stops end within this time after the storm, in milliseconds. */
const CALM_MS = 3_200;
/** How long nothing may change at the end, in milliseconds. */
const STABLE_MS = 900;

/** The product's membership and assignor: members that join, leave, crash and stand still, over a model of the group. */
export const membershipMachine: Machine = {
  what: 'membership, assignment, leases and epochs',
  share: 2,
  world: { stormSteps: 150, mostSteps: 2_500, mostFaults: 4, faultOdds: 30, timeOdds: 12 },
  bugs: {
    'no-group-lock': 'two members rebalance at the same time',
    'assign-takes': 'a rebalance takes partitions from living owners',
    'fence-without-lock': 'the fence tests the owner, and does not lock its row',
  },
  build(world, bug) {
    const server = new ModelServer(world);
    const model = new MembershipModel(server, bug);
    const partitionIds = Array.from({ length: 1 + world.choices.below(4) }, (_, index) => index + 1);
    const members = new Members(world, server, partitionIds);
    const rules = new MembershipRules(world, model, partitionIds, members);
    server.onCommit = (transaction) => rules.check(transaction);
    members.start();
    world.spawn(async () => {
      for (;;) {
        await world.sleep(LOOK_MS);
        rules.look();
      }
    });
    world.isOver = () => rules.isStable;
    return { atEnd: () => {} };
  },
};

class Members {
  readonly #members: Member[] = [];
  readonly #together: boolean;
  #nextMember = 1;

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly partitionIds: readonly number[],
  ) {
    this.#together = world.choices.oneOf([true, false]);
  }

  get running(): readonly Member[] {
    return this.#members;
  }

  start(): void {
    this.#startOne();
    this.#startOne();
    this.world.strike = () => this.#strike();
  }

  #startOne(): void {
    const { world, server, partitionIds } = this;
    const member = new Member(world, server, `m${this.#nextMember}`, partitionIds, this.#together);
    this.#nextMember += 1;
    this.#members.push(member);
    member.process.atCrash(() => this.#members.splice(this.#members.indexOf(member), 1));
    member.start();
  }

  #strike(): void {
    const { world } = this;
    const kind = world.choices.oneOf(['join', 'crash', 'leave', 'stop'] as const);
    const others = this.#members.filter(({ isLeaving }) => !isLeaving);
    const member = others[world.choices.below(Math.max(1, others.length))];
    world.note(() => `FAULT: ${kind}: ${member?.memberId ?? 'no member'}`);
    if (kind === 'join' && this.#members.length < MOST_MEMBERS) this.#startOne();
    if (member === undefined || kind === 'join') return;
    if (kind === 'stop') member.process.stoppedUntilMs = world.nowMs + 2 * LEASE_MS;
    // One stays, so that all partitions can be owned in the end.
    else if (others.length > 1 && kind === 'crash') member.process.crash();
    else if (others.length > 1) member.leave();
  }
}

/** One accepted owner at a time, all owned in the end, and nothing moves without a reason. */
class MembershipRules {
  #calmSinceMs: number | undefined;
  #stableSinceMs: number | undefined;

  constructor(
    private readonly world: World,
    private readonly model: MembershipModel,
    private readonly partitionIds: readonly number[],
    private readonly members: Members,
  ) {}

  get isStable(): boolean {
    return this.#stableSinceMs !== undefined && this.world.nowMs - this.#stableSinceMs >= STABLE_MS;
  }

  check({ facts }: Transaction): void {
    const { committed } = this.model.owners;
    type Effect = { readonly partitionId: number; readonly memberId: string; readonly epoch: number };
    for (const { partitionId, memberId, epoch } of (facts.get('effect') ?? []) as Effect[]) {
      const owner = this.model.progress.ownerOf(partitionId);
      if (owner?.memberId !== memberId || owner.ownerEpoch !== epoch)
        this.world.broken(
          'only the owner has effects',
          `${memberId} (epoch ${epoch}) in partition ${partitionId} of ${owner?.memberId} (epoch ${owner?.ownerEpoch})`,
        );
    }
    if (new Set(committed.map(({ partitionId }) => partitionId)).size < committed.length)
      this.world.broken('a partition has one owner', `${committed.length} rows`);
    for (const change of (facts.get('change') ?? []) as OwnerChange[]) this.#checkChange(change);
  }

  #checkChange({ partitionId, from, how, wasAlive }: OwnerChange): void {
    if (how === 'assign' && wasAlive)
      this.world.broken(
        'only its release takes a partition from a living owner',
        `${partitionId} from ${from}`,
      );
    if (this.#stableSinceMs === undefined) return;
    this.world.broken('nothing moves while the members stay', `partition ${partitionId}, ${how}`);
  }

  /** Whether everything is as the assignor wants it, with members that stay. */
  look(): void {
    const { world } = this;
    if (world.isStormy) return;
    this.#calmSinceMs ??= world.nowMs;
    if (world.nowMs - this.#calmSinceMs < CALM_MS) return;
    const running = this.members.running.filter(({ process }) => process.stoppedUntilMs <= world.nowMs);
    const rows = this.model.members.committed;
    const isSettled =
      running.length === this.members.running.length &&
      running.every(({ isLeaving }) => !isLeaving) &&
      rows.length === running.length;
    const wanted = assignRange(rows, new Map([['orders', this.partitionIds]]));
    const isWanted =
      this.model.owners.committed.length === this.partitionIds.length &&
      this.model.owners.committed.every(
        ({ partitionId, ownerId, targetId }) => wanted.get(partitionId) === ownerId && targetId === null,
      );
    const isKnown = running.every(({ membership, memberId }) =>
      this.model.owners.committed.every(
        ({ partitionId, ownerId }) =>
          (ownerId === memberId) === membership.owned.some((owned) => owned.partitionId === partitionId),
      ),
    );
    if (isSettled && isWanted && isKnown) this.#stableSinceMs ??= world.nowMs;
  }
}

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { silentLogger } from '@waybill/kernel';
import type { Grant, LogEngine, Membership, Topic } from '@waybill/log';
import { type CaseLog, newName, type OpenEngine } from './log-under-test.js';
import { waitUntil } from '../wait-until.js';

/** Longer than a busy machine stands still: a lease that ends gives partitions away that are still at work. */
const LEASE_MS = 20_000;
/** The lease of a group whose member crashes. */
const SHORT_LEASE_MS = 1_500;
const HEARTBEAT_MS = 100;

/** What all members of a group were told, in order. */
class GroupStory {
  readonly name = newName('group');
  /** The service that its members belong to. */
  readonly serviceId = randomUUID();
  /** Topics to which its members subscribe while it runs. */
  readonly added: string[] = [];
  /** Every assignment of each partition. */
  readonly #assigned = new Map<number, { readonly who: TestedMember; readonly epoch: number }[]>();
  readonly #problems: string[] = [];

  /** @param later the name of a topic that does not exist yet, to which the members subscribe as well */
  constructor(
    readonly topic: Topic,
    readonly later: string,
    readonly leaseMs: number,
  ) {}

  assigned(who: TestedMember, { partitionId, grantEpoch }: Grant): void {
    const before = this.#assigned.get(partitionId) ?? [];
    const last = before.at(-1);
    if (last !== undefined && last.epoch >= grantEpoch)
      this.#problems.push(`the epoch of partition ${partitionId} went from ${last.epoch} to ${grantEpoch}`);
    if (last !== undefined && last.who !== who && last.who.isAtWork(partitionId))
      this.#problems.push(`partition ${partitionId} was given away before it was released`);
    this.#assigned.set(partitionId, [...before, { who, epoch: grantEpoch }]);
  }

  /** Waits until the members own all partitions, each its share, and nothing went wrong. */
  async shared(...members: readonly TestedMember[]): Promise<void> {
    const share = this.topic.partitionIds.length / members.length;
    await waitUntil(() => members.every(({ owned }) => owned.length === share), {
      describe: () =>
        `each of ${members.length} owns ${share}: ${members.map(({ owned }) => owned.length).join(', ')}`,
      timeoutMs: 30_000,
    });
    const all = members.flatMap(({ owned }) => owned);
    assert.equal(all.length, new Set(all).size);
    assert.deepEqual(new Set(all), new Set(this.topic.partitionIds));
    assert.deepEqual(this.#problems, []);
  }
}

/** A member that notes what it is told. */
class TestedMember {
  readonly membership: Membership;
  readonly #working = new Map<number, Grant>();
  /** Whether its process has ended: it then works on nothing. */
  hasCrashed = false;

  private constructor(log: LogEngine, story: GroupStory) {
    const end = async ({ partitionId }: Grant): Promise<void> => {
      // The end of a delivery comes a moment later.
      await new Promise(setImmediate);
      this.#working.delete(partitionId);
    };
    this.membership = log.join({
      group: story.name,
      serviceId: () => story.serviceId,
      topics: () => [story.topic.name, story.later, ...story.added],
      leaseMs: story.leaseMs,
      heartbeatMs: HEARTBEAT_MS,
      logger: silentLogger,
      listener: {
        onAssigned: async (grant) => {
          story.assigned(this, grant);
          this.#working.set(grant.partitionId, grant);
        },
        onRevoked: end,
        onLost: end,
      },
    });
  }

  static async start({ log }: OpenEngine, story: GroupStory): Promise<TestedMember> {
    log.signals.start();
    const member = new TestedMember(log, story);
    await member.membership.start();
    return member;
  }

  /** The partitions it works on. */
  get owned(): number[] {
    return [...this.#working.keys()];
  }

  isAtWork(partitionId: number): boolean {
    return !this.hasCrashed && this.#working.has(partitionId);
  }
}

/** Membership: who owns which partition, and under which epoch. */
export const membershipCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'gives one member everything, shares it between two, and gives it back when one leaves',
    async (log) => {
      const { story, one } = await groupOf(log, 4);
      await story.shared(one);
      const other = await TestedMember.start(await log.open(), story);
      await story.shared(one, other);
      assert.equal(one.membership.groupId, other.membership.groupId);
      assert.notEqual(one.membership.memberId, other.membership.memberId);
      assert.equal(one.membership.owned.length, 2);
      await one.membership.stop();
      assert.deepEqual(one.membership.owned, []);
      await story.shared(other);
      await other.membership.stop();
    },
  ],
  [
    'gives the partitions of a member that has crashed to others once its lease is over',
    async (log) => {
      const { story, one, engine } = await groupOf(log, 2, SHORT_LEASE_MS);
      await story.shared(one);
      assert.equal(one.membership.leaseLapsed, false);
      const crashedAt = performance.now();
      one.hasCrashed = true;
      await engine.cut();
      const other = await TestedMember.start(await log.open(), story);
      await story.shared(other);
      const heldMs = performance.now() - crashedAt;
      // Its last heartbeat was at most one interval, and a slow one, before.
      assert.ok(
        heldMs > SHORT_LEASE_MS - 5 * HEARTBEAT_MS,
        `its lease of ${SHORT_LEASE_MS} ms ended after ${heldMs} ms`,
      );
      await waitUntil(() => one.membership.leaseLapsed, { describe: 'it knows that its lease is over' });
      await one.membership.stop();
      await other.membership.stop();
    },
  ],
  [
    'says which grants hold, and the highest epoch that was taken under one',
    async (log) => {
      const { story, one } = await groupOf(log, 2);
      const other = await TestedMember.start(await log.open(), story);
      await story.shared(one, other);
      const [mine] = one.membership.owned as [Grant];
      const [theirs] = other.membership.owned as [Grant];
      const older = { ...mine, grantEpoch: mine.grantEpoch - 1 };
      assert.deepEqual([...(await one.membership.holds([mine, theirs])).values()], [mine]);
      assert.equal((await one.membership.holds([older])).size, 0, 'it holds an older grant');
      const take = (grant: Grant, ownerEpoch: number) =>
        one.membership.reportTaken([{ ...grant, ownerEpoch }]);
      assert.equal((await take(mine, 7)).get(mine.partitionId), 0);
      assert.equal((await take(mine, 5)).get(mine.partitionId), 7);
      assert.equal((await take(mine, 9)).get(mine.partitionId), 7);
      assert.equal((await take(older, 11)).size, 0, 'an older grant was reported');
      assert.equal((await take(theirs, 11)).size, 0, 'the grant of another member was reported');
      for (const { membership } of [one, other]) await membership.stop();
    },
  ],
  [
    'keeps members of another service out of a group',
    async (log) => {
      const { story, one, engine } = await groupOf(log, 1);
      const stranger = engine.log.join({
        group: story.name,
        serviceId: randomUUID,
        topics: () => [],
        leaseMs: LEASE_MS,
        heartbeatMs: HEARTBEAT_MS,
        listener: { onAssigned: async () => {}, onRevoked: async () => {}, onLost: async () => {} },
      });
      await assert.rejects(stranger.start(), { code: 'GROUP_SERVICE_MISMATCH' });
      await one.membership.stop();
    },
  ],
  [
    'asks a member for its topics at every heartbeat',
    async (log) => {
      const { story, one, engine } = await groupOf(log, 2);
      await story.shared(one);
      const more = await engine.log.topics.create(newName('topic'), { partitions: 1 });
      story.added.push(more.name);
      await waitUntil(() => more.partitionIds.every((id) => one.owned.includes(id)), {
        describe: 'it owns the partition of the topic that was added',
      });
      await one.membership.stop();
    },
  ],
  [
    'keeps epochs growing when a group has been without members',
    async (log) => {
      const { story, one } = await groupOf(log, 2);
      await story.shared(one);
      await one.membership.stop();
      const later = await TestedMember.start(await log.open(), story);
      await story.shared(later);
      await later.membership.stop();
    },
  ],
  [
    'knows which topics are new to a group',
    async (log) => {
      const { story, one, engine } = await groupOf(log, 1);
      await story.shared(one);
      const { topics } = engine.log;
      const later = await topics.create(story.later, { partitions: 1 });
      const unsubscribed = await topics.create(newName('topic'), { partitions: 1 });
      const names = [story.topic, later, unsubscribed].map(({ name }) => name);
      assert.deepEqual(await one.membership.newToGroup(names), new Set([later.name]));
      await one.membership.stop();
    },
  ],
];

/** A group with one member, and a topic for it. */
async function groupOf(
  log: CaseLog,
  partitions: number,
  leaseMs = LEASE_MS,
): Promise<{ readonly story: GroupStory; readonly one: TestedMember; readonly engine: OpenEngine }> {
  const engine = await log.open();
  const story = new GroupStory(
    await engine.log.topics.create(newName('topic'), { partitions }),
    newName('topic'),
    leaseMs,
  );
  return { story, one: await TestedMember.start(engine, story), engine };
}

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ProgressOwners } from '@waybill/consumer/internal';
import { newId } from '@waybill/kernel';
import type { Grant, Membership, TakenPartition } from '@waybill/log';
import { waitUntil } from '@waybill/testing';
import { OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
let groupId: number;
let partitionId: number;

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  [partitionId = 0] = (await bus.log.topics.get('orders')).partitionIds;
  groupId = await service.value(`select waybill.group_ensure('shop', null)`);
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

const grantOf = (grantEpoch: number): Grant => ({ partitionId, grantEpoch, logEpoch: 1 });

/** What the bus answers to a member. */
interface Answers {
  /** Whether the member still has its grants. */
  readonly holds?: (grants: readonly Grant[]) => Promise<boolean> | boolean;
  /** The highest owner epoch that was reported to the bus before. */
  readonly told?: (taken: readonly TakenPartition[]) => number;
}

/** A member of the group, with answers of the bus; by default it has been told nothing, and takes each grant for valid. */
function member({ holds = () => true, told = () => 0 }: Answers = {}): ProgressOwners {
  const membership: Pick<Membership, 'memberId' | 'holds' | 'reportTaken'> = {
    memberId: newId(),
    holds: async (grants) =>
      new Map((await holds(grants)) ? grants.map((grant) => [grant.partitionId, grant]) : []),
    reportTaken: (taken) => Promise.resolve(new Map([[partitionId, told(taken)]])),
  };
  return new ProgressOwners({ database: service.database, membership, groupId: () => groupId });
}

const take = async (owners: ProgressOwners, grantEpoch: number): Promise<unknown> => {
  const taken = (await owners.take([grantOf(grantEpoch)])).get(partitionId);
  return taken instanceof Error ? taken.name : taken?.ownerEpoch;
};

const ownerEpoch = (): Promise<number | undefined> =>
  service.value('select owner_epoch::int from waybill.progress_owner');

describe('a partition', () => {
  test('is taken by a newer grant, and not by an older one that the bus does not know any more', async () => {
    expect(await take(member(), 5)).toBe(1);
    expect(await take(member(), 6)).toBe(2);
    for (const grantEpoch of [5, 6]) {
      expect(await take(member({ holds: () => false }), grantEpoch)).toBeUndefined();
      expect(await ownerEpoch()).toBe(2);
    }
  });

  test('is taken by the same or an older grant if the bus says that it holds', async () => {
    expect(await take(member(), 5)).toBe(1);
    expect(await take(member(), 5)).toBe(2);
    // The bus went back, and numbers its grants from the start.
    expect(await take(member(), 1)).toBe(3);
  });

  test('is left to a member that takes it while the bus is asked about an older grant', async () => {
    expect(await take(member(), 5)).toBe(1);
    const slow = member({
      holds: async () => {
        expect(await take(member(), 6)).toBe(2);
        return true;
      },
    });
    expect(await take(slow, 5)).toBeUndefined();
    expect(await ownerEpoch()).toBe(2);
  });

  test('is not taken in a database that is older than what the bus was told', async () => {
    expect(await take(member(), 5)).toBe(1);
    expect(await take(member({ told: () => 2 }), 6)).toBe('ProgressWentBackError');
    expect(await ownerEpoch()).toBe(1);
  });

  test('is not kept if the bus was told of as high an epoch of another database meanwhile', async () => {
    const told = ([taken]: readonly TakenPartition[]): number => (taken?.ownerEpoch === 0 ? 0 : 1);
    await expect(take(member({ told }), 5)).rejects.toMatchObject({ code: 'PROGRESS_WENT_BACK' });
  });
});

describe('the bus', () => {
  const REPORT = 'select taken_before::int from waybill_bus.group_report_taken($1, $2, $3, $4, $5)';
  const serviceId = newId();
  const nothing = (): Promise<void> => Promise.resolve();
  let membership: Membership;
  let grant: Grant;

  beforeEach(async () => {
    membership = service.log.join({
      group: 'shop',
      serviceId: () => serviceId,
      topics: () => ['orders'],
      leaseMs: 60_000,
      heartbeatMs: 200,
      listener: { onAssigned: nothing, onRevoked: nothing, onLost: nothing },
    });
    await membership.start();
    await waitUntil(() => membership.owned.length === 1, { describe: 'it has the partition' });
    [grant = grantOf(0)] = membership.owned;
  });
  afterEach(() => membership.stop());

  const report = async (by: string, grantEpoch: number, epoch: number): Promise<unknown[]> => {
    const parameters = [membership.groupId, [partitionId], by, [grantEpoch], [epoch]];
    const { rows } = await bus.database.pool.query<{ taken_before: number }>(REPORT, parameters);
    return rows.map((row) => row.taken_before);
  };

  test('says which grants hold', async () => {
    const older = { ...grant, grantEpoch: grant.grantEpoch - 1 };
    expect(await membership.holds([grant])).toEqual(new Map([[partitionId, grant]]));
    expect(await membership.holds([older])).toEqual(new Map());
  });

  test('notes the epochs that the owner has taken, upwards only, and those of nobody else', async () => {
    const { memberId } = membership;
    const { grantEpoch } = grant;
    expect(await report(memberId, grantEpoch, 4)).toEqual([0]);
    expect(await report(newId(), grantEpoch, 9)).toEqual([]);
    expect(await report(memberId, grantEpoch - 1, 9)).toEqual([]);
    expect(await report(memberId, grantEpoch, 3)).toEqual([4]);
    expect(await report(memberId, grantEpoch, 0)).toEqual([4]);
  });
});

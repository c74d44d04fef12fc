import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { reclaimProgress } from '../../libs/consumer/src/statements.generated.js';
import { OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
let group: number;
let partitions: readonly number[];

/** The group owns two partitions, in owner epoch 1. */
beforeEach(async () => {
  bus = await TestBus.create({ orders: { partitions: 2 } });
  service = await OwnService.create(bus);
  partitions = (await bus.log.topics.get('orders')).partitionIds;
  group = await service.value(`select waybill.group_ensure('shop', null)`);
  await service.value(`select waybill.progress_take($1, $2, '{1, 1}', gen_random_uuid(), 1)`, [
    group,
    partitions,
  ]);
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

/** Where the group begins in both partitions; `epoch` and `server` are those of the second. */
const begin = (epoch: string, server: string): Promise<unknown> =>
  service.value(
    `select waybill.progress_begin($1, $2, array[1, ${epoch}], '{5, 6}', 1, array[waybill.incarnation(), ${server}])`,
    [group, partitions],
  );

const advance = (epoch: string, server: string): Promise<unknown> =>
  service.value(`select waybill.advance($1, $2, ${epoch}, 6, 6, 1, null, ${server})`, [group, partitions[1]]);

const stored = (): Promise<number> => service.value('select count(*)::int from waybill.consumer_position');

describe.each([
  ['where a group begins', begin, 2],
  ['a position', advance, 1],
])('%s', (_, store, rows) => {
  test('is stored by the owner, on the server on which it took the partition', async () => {
    await store('1', 'waybill.incarnation()');
    expect(await stored()).toBe(rows);
  });

  test.each([
    ['an earlier owner', '0', 'waybill.incarnation()'],
    ['an owner that took it on another server', '1', 'waybill.incarnation() - 1'],
  ])('is not stored by %s', async (__, epoch, server) => {
    await expect(store(epoch, server)).rejects.toMatchObject({ code: 'WB003' });
    expect(await stored()).toBe(0);
  });
});

test('a group that a database has lost gets its id back, unless it is another one’s by now', async () => {
  const ensure = (name: string, id: number): Promise<number | null> =>
    service.transaction(async (client) => {
      await client.query(`set local statement_timeout = '5s'`);
      const { rows } = await client.query<{ id: number | null }>(
        'select waybill.group_ensure($1, $2) as id',
        [name, id],
      );
      return rows[0]?.id ?? null;
    });
  expect(await ensure('lost', group + 5)).toBe(group + 5);
  expect(await ensure('lost too', group)).toBeNull();
  expect(await ensure('shop', group + 9)).toBe(group);
});

test('a partition that a delivery still holds is not waited for when the others get a new epoch', async () => {
  const [held, free] = partitions as [number, number];
  const rows = await service.transaction(async (delivery) => {
    await delivery.query('select waybill.fence($1, $2, 1, waybill.incarnation())', [group, held]);
    return service.database.session.run(reclaimProgress, group, [held, free], [1, 1]);
  });
  expect(new Map(rows.map((row) => [row.partitionId, row.ownerEpoch]))).toEqual(
    new Map([
      [held, null],
      [free, 2],
    ]),
  );
}, 20_000);

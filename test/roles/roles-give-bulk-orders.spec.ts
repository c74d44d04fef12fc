import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { PgDatabase } from '@waybill/kernel';
import { SagaOperations } from '@waybill/saga';
import { RoleBus } from '../support/role-bus.js';

const NONE = '00000000-0000-0000-0000-000000000000';
const SAGAS = {
  shop: '0199c0de-0000-7000-8000-000000000001',
  billing: '0199c0de-0000-7000-8000-000000000002',
} as const;
const QUERY = { where: { customer: 'secret' } };

let bus: RoleBus;
let owner: PgDatabase;
/** An operator of everything, and one of group shop. */
let operator: PgDatabase;
let shop: PgDatabase;
/** A service of group shop, and a login that only reads figures. */
let service: PgDatabase;
let monitor: PgDatabase;
beforeAll(async () => {
  bus = await RoleBus.create();
  const url = await bus.database('many');
  owner = bus.as('owner', url);
  await bus.grant('operator', url, { roles: ['operator'] });
  await bus.grant('shop', url, { roles: ['operator'], topics: ['orders*'], groups: ['shop'] });
  await bus.grant('service', url, { roles: ['service'], topics: ['orders*'], groups: ['shop'] });
  await bus.grant('monitor', url, { roles: ['monitor'] });
  [service, monitor] = [bus.as('service', url), bus.as('monitor', url)];
  [operator, shop] = [bus.as('operator', url), bus.as('shop', url)];
  for (const [group, id] of Object.entries(SAGAS)) {
    const topic = `${group}.saga-replies`;
    const content = { direction: 'forward', steps: {}, data: {} };
    await owner.pool.query(
      `select waybill.saga_start($1, 'pay', 1, $2, $2, 1::smallint, null, null, null, null, 'c0ffee', $3, '{}')`,
      [id, topic, JSON.stringify(content)],
    );
    const attributes = [{ name: 'customer', kind: 'string', value: 'secret' }];
    await owner.pool.query('select waybill.saga_attributes_save($1, $2, $3)', [
      id,
      topic,
      JSON.stringify(attributes),
    ]);
  }
});
afterAll(() => bus.close());

const operations = (database: PgDatabase): SagaOperations => new SagaOperations({ database });

const ordered = async (): Promise<unknown[]> =>
  (
    await owner.pool.query<unknown[]>({
      text: 'select saga_id, actor, stated_by from waybill.saga_order order by id',
      rowMode: 'array',
    })
  ).rows;

/** A raw step, which may name any saga. */
const step = (database: PgDatabase, id: number, saga: string): Promise<unknown> =>
  database.pool.query(
    `select waybill.saga_bulk_step($1, $2, array[$3]::uuid[], array[1]::bigint[], array[''], $3, true)`,
    [id, NONE, saga],
  );

test('an operator of a group finds the sagas of that group, and gives them orders', async () => {
  expect(await operations(operator).list(QUERY)).toHaveLength(2);
  expect(await operations(shop).list(QUERY)).toMatchObject([{ id: SAGAS.shop }]);
  expect((await operations(shop).show(SAGAS.shop)).attributes).toEqual({ customer: 'secret' });
  expect(await operations(operator).bulk.count('cancel', QUERY)).toEqual({ sagas: 2, unreadable: 0 });
  expect(await operations(shop).bulk.count('cancel', QUERY)).toEqual({ sagas: 1, unreadable: 0 });
  const { id } = await operations(shop).bulk.start('cancel', QUERY, { by: 'ada' });
  expect(await operations(shop).bulk.resume(id, { waitMs: 0 })).toMatchObject({
    total: 1,
    ordered: 1,
    skipped: 0,
  });
  expect(await ordered()).toEqual([[SAGAS.shop, bus.name('shop'), 'ada']]);
});

test('and of no other group, even in SQL', async () => {
  const before = await ordered();
  const { rows } = await shop.pool.query<{ id: string }>(
    `select waybill.saga_bulk_begin('{"type": "cancel", "reason": "x"}', '{}', 'ada', null, 500, '${SAGAS.billing}', 1) as id`,
  );
  const id = Number(rows[0]?.id);
  await step(shop, id, SAGAS.billing);
  expect(await operations(shop).bulk.show(id)).toMatchObject({ state: 'done', ordered: 0, skipped: 1 });
  expect(await ordered()).toEqual(before);
});

test('what one operator began can be seen and continued by that operator, and by unrestricted ones', async () => {
  const { id } = await operations(operator).bulk.start('cancel', QUERY, { by: 'bob' });
  const mine = await operations(shop).bulk.list();
  expect(mine.map(({ actor }) => actor)).toEqual([bus.name('shop'), bus.name('shop')]);
  await expect(operations(shop).bulk.resume(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(operations(shop).bulk.cancel(id, { by: 'ada' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await step(shop, id, SAGAS.shop);
  const begun = { state: 'running', total: 2, ordered: 0, skipped: 0 };
  expect(await operations(operator).bulk.show(id)).toMatchObject(begun);
  // The shop's saga already has a pending order.
  const end = { state: 'done', ordered: 1, skipped: 1 };
  expect(await operations(operator).bulk.resume(id, { waitMs: 0 })).toMatchObject(end);
  expect((await ordered()).at(-1)).toEqual([SAGAS.billing, bus.name('operator'), 'bob']);
  expect(await operations(operator).bulk.list()).toHaveLength(3);
});

const attributes = `'[{"name": "a", "kind": "string", "value": "x"}]'`;
const DENIED = '42501';

test.each([
  [
    'a service sees those of its own sagas',
    () => service,
    'select count(*)::int from waybill.saga_attribute',
    1,
  ],
  [
    'it changes no others',
    () => service,
    `with c as (update waybill.saga_attribute set value = value returning 1) select count(*)::int from c`,
    1,
  ],
  [
    'nor adds any',
    () => service,
    `select waybill.saga_attributes_save(gen_random_uuid(), 'billing.saga-replies', ${attributes})`,
    DENIED,
  ],
  ['nor reads a slot by its name', () => service, 'select count(*) from waybill.saga_attribute_s1', DENIED],
  ['it sees no order to many sagas', () => service, 'select count(id)::int from waybill.saga_bulk', 0],
  ['nor whom it is about', () => service, 'select filter from waybill.saga_bulk', DENIED],
  [
    'nor gives one',
    () => service,
    `select waybill.saga_bulk_begin('{"type": "cancel"}', '{}', 'x', null, 1, '${NONE}', 1)`,
    DENIED,
  ],
  [
    'nor continues one',
    () => service,
    `select waybill.saga_bulk_step(1, '${NONE}', '{}', '{}', '{}', '${NONE}', true)`,
    DENIED,
  ],
  ['a monitor sees no attribute', () => monitor, 'select value from waybill.saga_attribute', DENIED],
  ['nor an order', () => monitor, 'select filter from waybill.saga_bulk', DENIED],
  ['an operator changes no attribute', () => operator, 'delete from waybill.saga_attribute', DENIED],
  ['nor what an order has come to', () => operator, 'update waybill.saga_bulk set total = 0', DENIED],
] as const)('%s', async (_, database, text, expected) => {
  const got = await database()
    .pool.query<unknown[]>({ text, rowMode: 'array' })
    .then(({ rows }) => rows[0]?.[0])
    .catch((error: unknown) => (error as { code?: string }).code);
  expect(got).toBe(expected);
});

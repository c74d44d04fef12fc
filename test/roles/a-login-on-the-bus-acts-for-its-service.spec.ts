import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { RoleBus } from '../support/role-bus.js';

/** A bus in a database of its own, and the logins of two services there. */
let bus: RoleBus;
let url: string;
let ids: { orders: number; payments: number };
const [stock, shop] = [randomUUID(), randomUUID()];

beforeAll(async () => {
  bus = await RoleBus.create();
  url = await bus.database('bus_apart', 'bus');
  const { topics } = new PostgresLogEngine(bus.as('owner', url), { service: null });
  const [orders, payments] = [
    await topics.create('orders', { partitions: 1 }),
    await topics.create('payments', { partitions: 1 }),
  ];
  ids = { orders: orders.partitionIds[0] ?? -1, payments: payments.partitionIds[0] ?? -1 };
  await bus.grant('shop', url, { roles: ['service'], part: 'bus', topics: ['orders'], groups: ['shop'] });
  await bus.grant('stock', url, { roles: ['service'], part: 'bus', topics: ['payments'], groups: ['stock'] });
  await bus.grant('api', url, { roles: ['publisher'], part: 'bus' });
  await bus.grant('ada', url, { roles: ['operator'], part: 'bus' });
  await bus.grant('bob', url, { roles: ['operator'], part: 'bus', topics: ['orders'] });
  await bus.login('stock_today');
  await bus.onServer(`grant ${bus.name('stock')} to ${bus.name('stock_today')}`);
  for (const [login, group, service] of [
    ['shop', 'shop', shop],
    ['stock', 'stock', stock],
  ] as const)
    await bus.as(login, url).pool.query('select waybill_bus.group_join($1, $2)', [group, service]);
  // Each has its source, with a pass.
  await bus.as('shop', url).pool.query(handOver(shop, 1, ids.orders));
  await bus.as('stock', url).pool.query(handOver(stock, 1, ids.payments));
});
afterAll(() => bus.close());

const TOKENS = Array.from({ length: 10 }, () => randomUUID());

/** A pass with one batch of one record. */
function handOver(service: string, n: number, partition: number): string {
  const before = n === 1 ? 'null' : `'${TOKENS[n - 1]}'`;
  return `select waybill_bus.log_hand_over('${service}', 1, ${n}, '${TOKENS[n]}', ${before}, '{${partition}}', '{1}', '{1}', '{0}', 'x')`;
}

/** How many rows a login gets or changes, or the SQLSTATE that refuses it. */
async function attempt(login: string, text: string, end = 'rollback'): Promise<string> {
  const client = await bus.as(login, url).pool.connect();
  try {
    await client.query('begin');
    const { rowCount } = await client.query(text);
    await client.query(end);
    return `${rowCount} row${rowCount === 1 ? '' : 's'}`;
  } catch (error) {
    await client.query('rollback');
    return String((error as { code?: string }).code);
  } finally {
    client.release();
  }
}

/** Parameters with which a pass stores a key. */
const KEY = `'{h}', array['${randomUUID()}'::uuid], '{w}'`;
const withKey = (text: string): string => text.replace(/\)$/, `, ${KEY})`);

const DENIED = '42501';
const RESTRICTED = 'WB040';
const NOTHING = '0 rows';

const group = (name: string): string => `(select id from waybill_bus.consumer_group where name = '${name}')`;

describe('a service’s login on the bus', () => {
  test.each([
    ['appends its next pass', () => handOver(stock, 2, ids.payments), '1 row'],
    ['stores the key of a subject with its pass', () => withKey(handOver(stock, 2, ids.payments)), '1 row'],
    [
      'reads a key that it knows',
      () => `select waybill_bus.read_subject_key('${randomUUID()}', 'h')`,
      '1 row',
    ],
    ['asks for its own source', () => `select waybill_bus.source_ask('${stock}')`, '1 row'],
    ['reads what it may consume', () => 'select * from waybill_bus.log_batch', '1 row'],
    ['joins its group', () => `select waybill_bus.group_join('stock', '${stock}')`, '1 row'],
    ['sees its group only', () => 'select * from waybill_bus.consumer_group', '1 row'],
    [
      'is a member of its group',
      () =>
        `select waybill_bus.group_heartbeat(${group('stock')}, gen_random_uuid(), '{payments}', 1000) is null`,
      '1 row',
    ],
    [
      'reports the positions of its group',
      () =>
        `select waybill_bus.group_report_positions(${group('stock')}, '{${ids.payments}}', '{0}') is null`,
      '1 row',
    ],
  ])('%s', async (_, text, expected) => {
    expect(await attempt('stock', text())).toBe(expected);
  });

  test.each([
    ['appends for another service', () => handOver(shop, 2, ids.payments), RESTRICTED],
    ['appends to a topic of others', () => handOver(stock, 2, ids.orders), RESTRICTED],
    ['appends there without a source', () => handOver(randomUUID(), 1, ids.orders), RESTRICTED],
    ['asks for the source of another', () => `select waybill_bus.source_ask('${shop}')`, RESTRICTED],
    ['lists the passes of others', () => `select waybill_bus.source_passes('${shop}', 1)`, DENIED],
    ['reads the sources', () => 'select * from waybill_bus.source', DENIED],
    ['reads the passes', () => 'select * from waybill_bus.log_source', DENIED],
    ['forges a pass', () => `insert into waybill_bus.log_source (source_id, n) values (1, 2)`, DENIED],
    ['takes over a source', () => `update waybill_bus.source set login = session_user`, DENIED],
    [
      'reads records of others',
      () => `select * from waybill_bus.log_batch where partition_id = ${ids.orders}`,
      NOTHING,
    ],
    ['changes records', () => `update waybill_bus.log_batch set data = ''`, DENIED],
    ['deletes records', () => 'delete from waybill_bus.log_batch', DENIED],
    ['empties the log', () => 'truncate waybill_bus.log_batch', DENIED],
    ['joins a group of others', () => `select waybill_bus.group_join('shop', '${stock}')`, DENIED],
    ['makes a group of another name', () => `select waybill_bus.group_join('x', '${stock}')`, DENIED],
    ['deletes a group', () => 'delete from waybill_bus.consumer_group', DENIED],
    [
      'takes partitions of another group',
      () => `update waybill_bus.partition_owner set owner_id = gen_random_uuid() where group_id = 1`,
      NOTHING,
    ],
    [
      'creates a topic of others',
      () => `select waybill_bus.topic_create('orders.new', 1, 1000, 'unblock', 'drop')`,
      RESTRICTED,
    ],
    ['changes a topic', () => `update waybill_bus.topic set retention_ms = 1`, DENIED],
    ['raises the epoch of the log', () => 'select waybill_bus.log_raise_epoch()', DENIED],
    ['widens its restriction', () => `insert into waybill_bus.acl_login (login) values ('x')`, DENIED],
    ['creates anything', () => 'create table waybill_bus.mine (id int)', DENIED],
    ['lists keys of subjects', () => 'select * from waybill_bus.subject_key', DENIED],
    ['lists those by ids', () => `select waybill_bus.subject_keys_of('{}')`, DENIED],
    ['counts keys', () => `select waybill_bus.count_subject_keys('x')`, DENIED],
    ['sees who was erased', () => 'select * from waybill_bus.erased_subject', DENIED],
    ['forges an erasure', () => `insert into waybill_bus.erased_subject values ('x')`, DENIED],
    ['erases', () => `select waybill_bus.destroy_subject_keys('{x}')`, DENIED],
  ])('never %s', async (_, text, expected) => {
    expect(await attempt('stock', text())).toBe(expected);
  });

  test('may be replaced by another member of its role, so that credentials can be changed', async () => {
    expect(await attempt('stock_today', handOver(stock, 2, ids.payments))).toBe('1 row');
    expect(await attempt('stock_today', handOver(shop, 2, ids.payments))).toBe(RESTRICTED);
  });

  test('may be replaced when its restriction is lifted, and by another restricted login', async () => {
    const service = randomUUID();
    await bus.grant('former', url, { roles: ['service'], part: 'bus', topics: ['payments'] });
    expect(await attempt('former', handOver(service, 1, ids.payments), 'commit')).toBe('1 row');
    expect(await attempt('stock', handOver(service, 2, ids.payments))).toBe(RESTRICTED);
    await bus.grant('former', url, { roles: ['service'], part: 'bus' });
    expect(await attempt('stock', handOver(service, 2, ids.payments), 'commit')).toBe('1 row');
    expect(await attempt('shop', handOver(service, 3, ids.orders))).toBe(RESTRICTED);
    expect(await attempt('former', handOver(service, 3, ids.payments))).toBe('1 row');
  });
});

test('an operator’s login on the bus erases a subject, unless it is restricted', async () => {
  expect(await attempt('ada', `select waybill_bus.destroy_subject_keys('x')`)).toBe('1 row');
  expect(await attempt('ada', `select waybill_bus.count_subject_keys('x')`)).toBe('1 row');
  expect(await attempt('ada', 'select * from waybill_bus.subject_key')).toBe(DENIED);
  expect(await attempt('bob', `select waybill_bus.destroy_subject_keys('x')`)).toBe(RESTRICTED);
});

test('a publisher’s login on the bus reads names of topics and the identity of the bus, and does nothing else', async () => {
  expect(await attempt('api', 'select name from waybill_bus.topic')).toBe('2 rows');
  expect(await attempt('api', 'select waybill_bus.bus_identity()')).toBe('1 row');
  for (const text of [
    handOver(randomUUID(), 1, ids.orders),
    `select waybill_bus.log_append('{${ids.orders}}', '{1}', '{1}', '{0}', '{0}', 'x', -1, null)`,
    `select waybill_bus.source_ask('${shop}')`,
    `select waybill_bus.group_join('api', '${shop}')`,
    `select waybill_bus.topic_create('x', 1, 1000, 'unblock', 'drop')`,
    `select waybill_bus.keep_subject_key('x', gen_random_uuid(), 'x')`,
    `select waybill_bus.keep_subject_keys(${KEY})`,
    `select waybill_bus.read_subject_key(gen_random_uuid(), 'x')`,
    'select * from waybill_bus.log_batch',
    'select * from waybill_bus.topic_partition',
  ])
    expect([text, await attempt('api', text)]).toEqual([text, DENIED]);
});

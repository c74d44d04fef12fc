import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Bell, isWaybillError, newId, type PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import { SCHEMA_PARTS, schemaOf } from '@waybill/schema';
import { rightsOf } from '@waybill/schema/internal';
import { Timers } from '@waybill/timer';
import { attemptOn, RoleBus } from '../support/role-bus.js';
import { HALF, insertRowsOfAll, MEMBER, SAGA } from '../support/rows-of-all.js';

let bus: RoleBus;
let url: string;
let owner: PgDatabase;
let relay: Relay;
/** Ids of the first partitions of topics, and of groups. */
let ids: { orders: number; payments: number; shop: number; billing: number };
const databases = new Map<string, PgDatabase>();

beforeAll(async () => {
  bus = await RoleBus.create();
  url = await bus.database('refused');
  owner = bus.as('owner', url);
  await bus.grant('relay', url, { roles: ['service'] });
  await bus.grant('api', url, { roles: ['publisher'] });
  await bus.grant('orders_api', url, { roles: ['publisher'], topics: ['orders*'] });
  await bus.grant('shop', url, { roles: ['service'], topics: ['orders*'], groups: ['shop'] });
  await bus.grant('monitor', url, { roles: ['monitor'] });
  await bus.grant('operator', url, { roles: ['operator'] });
  await bus.grant('shop_operator', url, { roles: ['operator'], topics: ['orders*'], groups: ['shop'] });
  for (const login of ['relay', 'api', 'orders_api', 'shop', 'monitor', 'operator', 'shop_operator'])
    databases.set(login, bus.as(login, url));
  await seed();
});
afterAll(() => bus.close());

/** One of each thing that belongs to group billing and topic payments. */
async function seed(): Promise<void> {
  const { topics } = new PostgresLogEngine(owner);
  const [orders, payments] = [
    await topics.create('orders', { partitions: 1 }),
    await topics.create('payments', { partitions: 1 }),
  ];
  const database = databases.get('relay') as PgDatabase;
  relay = new Relay({
    database,
    log: new PostgresLogEngine(database),
    bell: new Bell(),
  });
  for (const schema of ['waybill', 'waybill_bus'])
    await owner.pool.query(`insert into ${schema}.consumer_group (name) values ('shop'), ('billing')`);
  const { rows } = await owner.pool.query<{ name: string; id: number }>(
    'select name, id from waybill.consumer_group',
  );
  const group = (name: string): number => rows.find((row) => row.name === name)?.id ?? -1;
  ids = {
    orders: orders.partitionIds[0] ?? -1,
    payments: payments.partitionIds[0] ?? -1,
    shop: group('shop'),
    billing: group('billing'),
  };
  await owner.pool.query(
    `select waybill.publish('orders', 'k', '{"n": 1}'), waybill.publish('payments', 'k', '{"n": 1}')`,
  );
  await moveAll();
  await insertRowsOfAll(owner.pool, ids);
}

async function moveAll(): Promise<void> {
  while ((await relay.runOnce()) === 'again');
}

const attempt = (login: string, text: string): Promise<unknown> =>
  attemptOn(databases.get(login) as PgDatabase, text);

const DENIED = '42501';
const RESTRICTED = 'WB040';

describe('a publisher', () => {
  test('reads only the names of topics', async () => {
    for (const part of SCHEMA_PARTS) {
      const tables = Object.keys(rightsOf(part).tables).filter(
        (table) => !['topic', 'migration', 'acl_login'].includes(table),
      );
      for (const name of tables) {
        const table = `${schemaOf('waybill', part)}.${name}`;
        for (const login of ['api', 'orders_api']) {
          expect([table, await attempt(login, `select count(*) from ${table}`)]).toEqual([table, DENIED]);
          expect([table, await attempt(login, `delete from ${table}`)]).toEqual([table, DENIED]);
        }
      }
    }
  });

  test.each([
    [`select waybill.publish('orders', 'k', '{}') is not null`, true],
    [`select waybill.publish('payments', 'k', '{}')`, RESTRICTED],
    [`select waybill.publish('payments', 'k', '{}', null, now() + interval '1 hour', 't')`, RESTRICTED],
    [`insert into waybill.outbox (message_id, topic) values (gen_random_uuid(), 'orders')`, []],
    [`insert into waybill.outbox (message_id, topic) values (gen_random_uuid(), 'payments')`, RESTRICTED],
    [
      `insert into waybill.outbox_s3 (slot, message_id, topic) values (3, gen_random_uuid(), 'payments')`,
      RESTRICTED,
    ],
    [
      `insert into waybill.outbox (message_id, topic, timer_action, deliver_at) values (gen_random_uuid(), 'payments', 1, now())`,
      RESTRICTED,
    ],
    [
      `insert into waybill.outbox (message_id, topic, key, timer_action, timer_token) values (gen_random_uuid(), '', 'postgres', 2, 't')`,
      RESTRICTED,
    ],
    [
      `insert into waybill.outbox (message_id, topic, timer_action, timer_token) values (gen_random_uuid(), '', 2, 't')`,
      RESTRICTED,
    ],
    [`insert into waybill.outbox (message_id, topic, xid) values (gen_random_uuid(), 'orders', '1')`, DENIED],
    [`insert into waybill.outbox (message_id, topic, id) values (gen_random_uuid(), 'orders', 1)`, DENIED],
    [
      `insert into waybill.outbox (message_id, topic, created_at) values (gen_random_uuid(), 'orders', 'infinity')`,
      DENIED,
    ],
    [
      `insert into waybill.outbox (message_id, topic, control) values (gen_random_uuid(), 'orders', '{"waybill-reply-status": "done"}')`,
      DENIED,
    ],
    [
      `insert into waybill.outbox (message_id, topic, published_by) values (gen_random_uuid(), 'orders', 'postgres')`,
      DENIED,
    ],
    [`select waybill.order_saga('${SAGA}', '{"type": "cancel", "reason": "x"}', 1, 'ada')`, DENIED],
    [`select waybill.publish('orders', 'k', '{}', '{"waybill-saga-id": "x"}')`, 'WB006'],
    [`select waybill.outbox_requeue('{1}')`, DENIED],
    [`insert into waybill.timer (slot, due_at, kind, topic) values (8, now(), 1, 'orders')`, DENIED],
    [
      `select waybill.half_prepare(gen_random_uuid(), 'shop', 1, 1, 1, 1, null, '[{"topic": "payments"}]', '{}')`,
      DENIED,
    ],
    [`select waybill_bus.log_append('{}', '{}', '{}', '{}', '{}', '', -1, null)`, DENIED],
    [`select waybill.acl_open_for('postgres')`, DENIED],
    [
      `insert into waybill.acl (login, action, topic_pattern, group_pattern) values (session_user, 'publish', '*', '')`,
      DENIED,
    ],
    [`alter table waybill.outbox disable row level security`, DENIED],
    [`create table waybill.mine (id int)`, DENIED],
  ])('restricted to orders*: %s', async (text, expected) => {
    expect(await attempt('orders_api', text)).toEqual(expected);
  });

  test('publishes in TypeScript what it may, and gets an error for the rest', async () => {
    const { pool } = databases.get('orders_api') as PgDatabase;
    const outbox = new Outbox();
    const client = await pool.connect();
    try {
      await client.query('begin');
      await outbox.publish(client, { topic: 'orders', payload: { n: 2 } });
      await outbox.publish(client, { topic: 'orders', payload: { n: 3 }, delayMs: 3_600_000 });
      const refused: unknown = await outbox
        .publish(client, { topic: 'payments', payload: {} })
        .catch((error: unknown) => error);
      expect(isWaybillError(refused) && refused.code).toBe('ACCESS_DENIED');
      expect((refused as Error).message).toMatch(
        /login orders_api_\w+ may not publish to topic payments.*waybill acl/,
      );
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  test('cancels and moves only its own timers, no matter which process relays', async () => {
    const later = `now() + interval '1 hour'`;
    await owner.pool.query(`select waybill.publish('payments', 'k', '{}', null, ${later}, 'same')`);
    await databases
      .get('orders_api')
      ?.pool.query(`select waybill.publish('orders', 'k', '{}', null, ${later}, 'same')`);
    await moveAll();
    const there = async (): Promise<unknown> =>
      (await owner.pool.query(`select topic from waybill.timer where token = 'same' order by topic`)).rows;
    expect(await there()).toEqual([{ topic: 'orders' }, { topic: 'payments' }]);
    const client = await (databases.get('orders_api') as PgDatabase).pool.connect();
    const outbox = new Outbox();
    await client.query('begin');
    await outbox.rescheduleTimer(client, { token: 'same' }, { delayMs: 7_200_000 });
    await outbox.cancelTimer(client, { token: 'same' });
    await client.query('commit');
    client.release();
    await moveAll();
    expect(await there()).toEqual([{ topic: 'payments' }]);
    await new Timers(owner.session).cancel({ token: 'same' });
    expect(await there()).toEqual([]);
  });

  test('is restricted under every login that is a member of its role', async () => {
    await bus.login('for_a_day');
    await bus.onServer(`grant ${bus.name('orders_api')} to ${bus.name('for_a_day')}`);
    databases.set('for_a_day', bus.as('for_a_day', url));
    expect(await attempt('for_a_day', `select waybill.publish('orders', 'k', '{}') is not null`)).toBe(true);
    expect(await attempt('for_a_day', `select waybill.publish('payments', 'k', '{}')`)).toBe(RESTRICTED);
    const { pool } = databases.get('for_a_day') as PgDatabase;
    const client = await pool.connect();
    await client.query(`set role ${bus.name('orders_api')}`);
    await expect(client.query(`select waybill.publish('payments', 'k', '{}')`)).rejects.toMatchObject({
      code: RESTRICTED,
    });
    client.release(true);
  });
});

describe('a service that may consume orders* in group shop', () => {
  const ofBus = new Set(['log_batch', 'log_batch_s1', 'group_member', 'partition_owner']);
  const count = (table: string): string =>
    `select count(*)::int from ${ofBus.has(table) ? 'waybill_bus' : 'waybill'}.${table}`;
  test.each([
    ['of the log, its own topic', () => `${count('log_batch')} where partition_id = ${ids.orders}`, 1],
    ['of the log, another topic', () => `${count('log_batch')} where partition_id = ${ids.payments}`, 0],
    ['of the outbox', () => count('outbox'), 0],
    ['timers of another topic', () => `${count('timer')} where topic = 'payments'`, 0],
    ['groups', () => count('consumer_group'), 1],
    ['members of other groups', () => `${count('group_member')} where group_id = ${ids.billing}`, 0],
    ['owners of other groups', () => `${count('partition_owner')} where group_id = ${ids.billing}`, 0],
    [
      'owners of the progress of other groups',
      () => `${count('progress_owner')} where group_id = ${ids.billing}`,
      0,
    ],
    ['positions of other groups', () => `${count('consumer_position')} where group_id = ${ids.billing}`, 0],
    ['its own positions', () => count('consumer_position'), 1],
    ['parked messages', () => count('parked_message'), 1],
    ['dead letters', () => count('dead_letter'), 1],
    ['half messages', () => count('half_message'), 0],
    ['sagas', () => count('saga'), 0],
    ['keys of sagas', () => count('saga_mac_key'), 0],
    ['orders to sagas', () => count('saga_order'), 0],
    ['forged messages to sagas', () => count('saga_refusal'), 0],
    ['what was quarantined', () => count('outbox_quarantine'), 0],
    ['transitions of sagas', () => count('saga_transition'), 0],
    ['results of guards', () => count('idempotent_message'), DENIED],
    ['results of barriers', () => count('barrier_result'), DENIED],
    ['leases', () => count('guard_lease'), DENIED],
    ['results under leases', () => count('guard_outcome'), DENIED],
    ['the audit of operators', () => count('operator_action'), DENIED],
    ['redrives', () => count('redrive'), DENIED],
    ['a slot of the log by its name', () => count('log_batch_s1'), DENIED],
    ['a slot of the sagas by its name', () => count('saga_ended_s1'), DENIED],
    ['the access list', () => count('acl'), DENIED],
    [
      'the guard of another group',
      () => `select waybill.message_enter('billing/payments/pay', 'm-1', null, 3600000, 0, 0)`,
      RESTRICTED,
    ],
    [
      'its own guard',
      () => `select outcome from waybill.message_enter('shop/orders/pay', 'm-1', null, 3600000, 0, 0)`,
      'new',
    ],
    [
      'a lease of another group',
      () => `select waybill.lease_claim('billing/db/waybill/own/x', null, 1000)`,
      RESTRICTED,
    ],
  ])('sees %s', async (_, text, expected) => {
    expect(await attempt('shop', text())).toEqual(expected);
  });

  test.each([
    [
      'its own position',
      () =>
        `insert into waybill.consumer_position (group_id, partition_id, position, in_flight_end) values (${ids.shop}, ${ids.orders}, 1, 1)`,
      [],
    ],
    [
      'a position',
      () =>
        `insert into waybill.consumer_position (group_id, partition_id, position, in_flight_end) values (${ids.billing}, ${ids.payments}, 9, 9)`,
      DENIED,
    ],
    [
      'a position by its function',
      () =>
        `select waybill.advance(${ids.billing}, ${ids.payments}, 5, 9, 9, 1, null, waybill.incarnation())`,
      DENIED,
    ],
    [
      'positions by their function',
      () =>
        `select waybill.progress_begin(${ids.billing}, '{${ids.payments}}', '{5}', '{9}', 1, array[waybill.incarnation()])`,
      DENIED,
    ],
    [
      'a take',
      () => `select waybill.progress_take(${ids.billing}, '{${ids.payments}}', '{9}', '${MEMBER}', 1)`,
      DENIED,
    ],
    [
      'a report of positions',
      () => `select waybill_bus.group_report_positions(${ids.billing}, '{${ids.payments}}', '{9}')`,
      DENIED,
    ],
    [
      'a mark',
      () =>
        `insert into waybill.delivery_mark (group_id, partition_id, log_offset, verdict) values (${ids.billing}, ${ids.payments}, 0, 1)`,
      DENIED,
    ],
    [
      'a charge',
      () =>
        `insert into waybill.crash_charge (group_id, partition_id, log_offset) values (${ids.billing}, ${ids.payments}, 0)`,
      DENIED,
    ],
    [
      'a heartbeat',
      () => `select waybill_bus.group_heartbeat(${ids.billing}, gen_random_uuid(), '{payments}', 60000)`,
      DENIED,
    ],
    [
      'a lease',
      () => `update waybill_bus.group_member set lease_until = now() where group_id = ${ids.billing}`,
      0,
    ],
    ['a member', () => `delete from waybill_bus.group_member where group_id = ${ids.billing}`, 0],
    [
      'an owner',
      () =>
        `update waybill_bus.partition_owner set owner_id = gen_random_uuid() where group_id = ${ids.billing}`,
      0,
    ],
    [
      'a new group of another name',
      () => `insert into waybill.consumer_group (name) values ('payers')`,
      DENIED,
    ],
    [
      'a dead letter',
      () => `update waybill.dead_letter set state = 'discarded' where group_id = ${ids.billing}`,
      0,
    ],
    ['a parked message', () => `delete from waybill.parked_message where group_id = ${ids.billing}`, 0],
    ['a half message', () => `update waybill.half_message set next_check_at = now()`, 0],
    [
      'a decision',
      () => `select outcome from waybill.half_decide('${HALF}', 2::smallint, 'me', null, null, '{1,4}')`,
      'missing',
    ],
    [
      'a half message in another name',
      () =>
        `select waybill.half_prepare(gen_random_uuid(), 'billing', 1, 1, 1, 1, null, '[{"topic": "orders"}]', '{}')`,
      DENIED,
    ],
    [
      'a half message to another topic',
      () =>
        `select waybill.half_prepare(gen_random_uuid(), 'shop', 1, 1, 1, 1, null, '[{"topic": "payments"}]', '{}')`,
      RESTRICTED,
    ],
    [
      'a half message to another topic, by hand',
      () =>
        `insert into waybill.half_message (id, producer_group, next_check_at, check_interval_ms, check_max, messages, payloads) values (gen_random_uuid(), 'shop', now(), 1, 1, '[{"topic": "orders"}, {"topic": "payments"}]', '{}')`,
      RESTRICTED,
    ],
    [
      'a half message to its own topic',
      () =>
        `select waybill.half_prepare(gen_random_uuid(), 'shop', 1, 1, 1, 1, null, '[{"topic": "orders"}]', '{}') > 0`,
      true,
    ],
    [
      'records',
      () => `select waybill_bus.log_append('{${ids.payments}}', '{1}', '{1}', '{0}', '{0}', 'x', -1, null)`,
      RESTRICTED,
    ],
    [
      'records among its own',
      () =>
        `select waybill_bus.log_append('{${ids.orders}, ${ids.payments}}', '{1, 1}', '{1, 1}', '{0, 0}', '{0, 0}', 'xx', -1, null)`,
      RESTRICTED,
    ],
    [
      'a timer',
      () =>
        `select waybill.timer_schedule('{${HALF}}', '{null}', '{payments}', '{null}', '{null}', '{null}', array[null::bytea], '{0}')`,
      RESTRICTED,
    ],
    [
      'a timer by hand',
      () => `insert into waybill.timer (slot, due_at, kind, topic) values (8, now(), 1, 'payments')`,
      DENIED,
    ],
    [
      'a recurring message',
      () =>
        `select waybill.recurring_put('x', 'payments', null, null, null, null, null, null, 1000, 'skip', 0)`,
      RESTRICTED,
    ],
    ['the relay', () => `select waybill.relay_begin(1, 1000)`, RESTRICTED],
    [
      'the cursor',
      () =>
        `select waybill.relay_intend(1, gen_random_uuid(), gen_random_uuid(), pg_current_snapshot(), pg_current_snapshot(), 0, 0, 0, 0, '{}', 0)`,
      RESTRICTED,
    ],
    [
      'a pass of a service that another login appends for',
      () =>
        `with other as (select id from waybill.service)
         select waybill_bus.log_hand_over(id, 1, 99, gen_random_uuid(), null, '{${ids.payments}}', '{1}', '{1}', '{0}', 'x') from other`,
      expect.stringMatching(/^WB0(40|51)$/),
    ],
    ['due timers', () => `select waybill.timer_claim(now(), '{1}', 1, 1000)`, RESTRICTED],
    ['settings of a topic', () => `update waybill.topic set retention_ms = 1`, DENIED],
    [
      'a position back by its function',
      () => `select waybill.progress_rewind(${ids.billing}, ${ids.payments}, 5, 2, 0, waybill.incarnation())`,
      DENIED,
    ],
    [
      'a topic of another name',
      () => `select waybill_bus.topic_create('payments.new', 1, 1000, 'unblock', 'drop')`,
      RESTRICTED,
    ],
    ['a saga', () => `update waybill.saga set state = 3`, 0],
    [
      'a saga with a reply topic of another',
      () =>
        `select waybill.saga_start(gen_random_uuid(), 'pay', 1, 'P-2', 'billing.saga-replies', 1::smallint, null, null, null, null, 'c0ffee', '{}', '{}')`,
      DENIED,
    ],
    [
      'a transition',
      () =>
        `insert into waybill.saga_transition (slot, saga_id, revision, state, content) values (waybill.saga_slot('${SAGA}'), '${SAGA}', 2, 1, '{}')`,
      DENIED,
    ],
    ['a table', () => 'truncate waybill.consumer_position', DENIED],
    [
      'an audited action, under its own login',
      () => `insert into waybill.operator_action (action, target_kind, target) values ('a', 'b', 'c')`,
      [],
    ],
    [
      'an audited action in another name',
      () =>
        `insert into waybill.operator_action (action, target_kind, target, actor) values ('a', 'b', 'c', 'ada')`,
      DENIED,
    ],
    ['its restriction', () => `delete from waybill.acl_login`, DENIED],
    ['policies', () => 'drop policy waybill_acl on waybill_bus.log_batch', DENIED],
  ])('writes %s', async (_, text, expected) => {
    expect(await attempt('shop', text())).toEqual(expected);
  });

  test('adds no partition to a topic of others, as if the log had lost it', async () => {
    const ids = Array.from({ length: 9 }, (_, n) => 901 + n).join();
    await (databases.get('shop') as PgDatabase).pool.query(
      `select waybill_bus.topic_restore(array[(select id from waybill_bus.topic where name = 'payments')],
         '{payments}', '{9}', '{1000}', '{unblock}', '{drop}', '{null}', '{null}', '{${ids}}')`,
    );
    const { rows } = await owner.pool.query('select from waybill_bus.topic_partition where id > 900');
    expect(rows).toEqual([]);
  });

  test('deletes nothing of others, whatever time it gives', async () => {
    await owner.pool.query(
      `insert into waybill.half_message_decided (slot, id, producer_group, state, prepared_at, decided_at, decided_by, checks, messages)
       values (3, gen_random_uuid(), 'billing', 3, now(), now() - interval '1 hour', 'check', 0, '[]')`,
    );
    const forgetting = ['waybill.half_empty_slot(3, 0)', 'waybill_bus.log_open_bucket(0)'];
    for (const call of forgetting) {
      expect([call, await attempt('shop', `select ${call}`)]).toEqual([call, false]);
      expect([call, await attempt('relay', `select ${call}`)]).toEqual([call, true]);
    }
    for (const call of ['saga_empty_slot(1, 0)', 'effect_empty_slot(1, 0)'])
      expect([call, await attempt('shop', `select waybill.${call}`)]).toEqual([call, false]);
  });

  test('removes no group through the functions', async () => {
    const { pool } = databases.get('shop') as PgDatabase;
    await pool.query(
      `select waybill_bus.group_release(${ids.billing}, ${ids.payments}, '${MEMBER}'), waybill_bus.group_release_all(${ids.billing}, '{${ids.payments}}', '${MEMBER}')`,
    );
    const { rows } = await owner.pool.query(
      `select owner_id, owner_epoch from waybill_bus.partition_owner where group_id = ${ids.billing}`,
    );
    expect(rows).toEqual([{ owner_id: MEMBER, owner_epoch: '5' }]);
  });
});

describe('a monitor', () => {
  test.each(['outbox', 'timer', 'dead_letter', 'parked_message', 'recurring_message'])(
    'reads no message in %s',
    async (table) => {
      for (const column of ['key', 'headers', 'payload'])
        expect(await attempt('monitor', `select ${column} from waybill.${table}`)).toBe(DENIED);
      expect(await attempt('monitor', `select count(*) >= 0 from waybill.${table}`)).toBe(true);
    },
  );

  test.each([
    'select data from waybill_bus.log_batch',
    'select messages from waybill.half_message',
    'select payloads from waybill.half_message',
    'select content from waybill.saga',
    'select saga_key from waybill.saga_ended',
    'select content from waybill.saga_transition',
    'select error_message from waybill.dead_letter',
    'select error_stack from waybill.dead_letter',
    'select headers from waybill.saga_stash',
    'select * from waybill.operator_action',
    'select * from waybill.guard_outcome',
    `select waybill.dead_letter_ids('{}', 0, 1)`,
    `select waybill.publish('orders', 'k', '{}')`,
    'delete from waybill.dead_letter',
    `update waybill.topic set retention_ms = 1`,
  ])('may not: %s', async (text) => {
    expect(await attempt('monitor', text)).toBe(DENIED);
  });
});

describe('an operator', () => {
  const act = `insert into waybill.operator_action (action, target_kind, target) values ('a', 'b', 'c') returning actor`;
  beforeEach(async () => {
    await owner.pool.query(`update waybill.dead_letter set state = 'open'`);
  });

  test('is recorded in the audit by login and server time, permanently', async () => {
    expect(await attempt('operator', act)).toBe(bus.name('operator'));
    for (const text of [
      `insert into waybill.operator_action (action, target_kind, target, actor) values ('a', 'b', 'c', 'alice')`,
      `insert into waybill.operator_action (action, target_kind, target, acted_at) values ('a', 'b', 'c', now())`,
      `insert into waybill.operator_action (id, action, target_kind, target) overriding system value values (1, 'a', 'b', 'c')`,
      `update waybill.operator_action set reason = 'x'`,
      'delete from waybill.operator_action',
      'truncate waybill.operator_action',
      'select waybill.audit_forget(0, 1000)',
    ])
      expect([text, await attempt('operator', text)]).toEqual([text, DENIED]);
  });

  test('has its actions kept for at least 30 days, whatever retention a service asks for', async () => {
    const { pool } = owner;
    const act = 'insert into waybill.operator_action (action, target_kind, target) values';
    await pool.query(`${act} ('29', 'b', 'c'), ('31', 'b', 'c')`);
    await pool.query(
      "update waybill.operator_action set acted_at = now() - action::int * interval '1 day' where target = 'c'",
    );
    const { rows } = await (databases.get('relay') as PgDatabase).pool.query(
      'select waybill.audit_forget(0, 1000)::int as removed',
    );
    expect(rows).toEqual([{ removed: 1 }]);
    expect((await owner.pool.query('select waybill.audit_forget(0, 1000)::int as removed')).rows).toEqual([
      { removed: 1 },
    ]);
  });

  test('of one group redrives and discards nothing of another', async () => {
    const all = 'array(select d.id from waybill.dead_letter d)';
    const letters = (await owner.pool.query<{ id: string }>('select id from waybill.dead_letter')).rows.map(
      ({ id }) => id,
    );
    expect(letters).toHaveLength(2);
    expect(await attempt('shop_operator', `select count(*)::int from unnest(${all})`)).toBe(1);
    expect(
      await attempt('shop_operator', `select waybill.redrive_dead_letters('{${letters.join()}}')::int`),
    ).toBe(1);
    expect(await attempt('operator', `select waybill.redrive_dead_letters('{${letters.join()}}')::int`)).toBe(
      2,
    );
    expect(
      await attempt(
        'shop_operator',
        `select count(*)::int from waybill.discard_dead_letters('{${letters.join()}}')`,
      ),
    ).toBe(1);
  });

  test.each([
    `select waybill.publish('orders', 'k', '{}')`,
    `insert into waybill.outbox (message_id, topic) values (gen_random_uuid(), 'orders')`,
    'select data from waybill_bus.log_batch',
    'select payload from waybill.outbox',
    'select payload from waybill.timer',
    'delete from waybill.dead_letter',
    'update waybill.saga set state = 3',
    'update waybill.consumer_position set position = 0',
    'select * from waybill.guard_outcome',
    `insert into waybill.acl_login (login) values ('x')`,
  ])('may not: %s', async (text) => {
    expect(await attempt('operator', text)).toBe(DENIED);
  });
});

test('a saga of group billing cannot be distinguished from one that does not exist', async () => {
  expect(await attempt('shop', `select id from waybill.saga where id = '${SAGA}'`)).toEqual(
    await attempt('shop', `select id from waybill.saga where id = '${newId()}'`),
  );
});

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { newId } from '@waybill/kernel';
import { saga, sagaCommand, SagaRejectedError } from '@waybill/saga';
import { LogAppender } from '@waybill/log';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { appendRaw } from '../support/raw-records.js';
import { note, SagaFloor, type Work } from '../support/saga/sagas.js';

interface Order {
  readonly orderId: string;
}

const charge = sagaCommand<Order, { chargeId: string }>('payments.charge');
const refund = sagaCommand<Order>('payments.refund');
const definition = saga<Order>('forged.order')
  .step('charge', {
    invoke: charge,
    with: ({ orderId }) => ({ orderId }),
    then: ({ chargeId }) => ({ chargeId }),
    undo: { invoke: refund, with: ({ orderId }) => ({ orderId }) },
    policy: { timeoutMs: 60_000 },
  })
  .waitFor('approve', { signal: 'approved' })
  .build();

describe('a header that Waybill trusts', () => {
  const names = [
    'waybill-reply-status',
    'waybill-reply-to',
    'waybill-saga-id',
    'Waybill-Saga-Event',
    'WAYBILL-anything',
    'waybill-',
  ];
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create();
  });
  afterEach(() => fixture.close());

  test.each(names)('%s is refused in published messages', async (name) => {
    const headers = { [name]: 'done', other: '"waybill-x' };
    const message = { topic: 'orders', payload: 1, headers };
    await expect(fixture.transaction((tx) => fixture.outbox.publish(tx, message))).rejects.toMatchObject({
      code: 'MESSAGE_INVALID',
    });
    const text = JSON.stringify(headers);
    const sql = (statement: string, values: unknown[]): Promise<unknown> =>
      fixture.database.pool.query(statement, values);
    await expect(sql("select waybill.publish('orders', 'k', '1', $1)", [text])).rejects.toThrow();
    const insert = (table: string, columns = '', values = ''): Promise<unknown> =>
      sql(
        `insert into waybill.${table} (message_id, topic, headers ${columns}) values ($1, 'orders', $2 ${values})`,
        [newId(), text],
      );
    await expect(insert('outbox')).rejects.toMatchObject({ code: 'WB006' });
    const { rows } = await fixture.database.pool.query<{ slot: number }>(
      "insert into waybill.outbox (message_id, topic, payload) values (gen_random_uuid(), 'orders', '1') returning slot",
    );
    const slot = rows[0]?.slot ?? 0;
    await expect(insert(`outbox_s${slot}`, ', slot', `, ${slot}`)).rejects.toMatchObject({ code: 'WB006' });
    // Written with an escape, it is the same name.
    const escaped = text.replace(/"[Ww]/, (letter) => `"\\u00${letter.charCodeAt(1).toString(16)}`);
    await expect(
      sql("insert into waybill.outbox (message_id, topic, headers) values ($1, 'orders', $2)", [
        newId(),
        escaped,
      ]),
    ).rejects.toMatchObject({ code: 'WB006' });
    const appender = new LogAppender(fixture.engine);
    const record = { topic: 'orders', value: null, headers: [{ key: name, value: Buffer.from('done') }] };
    await expect(appender.append(record)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    await appender.close();
    await fixture.moveAll();
    expect((await fixture.log()).length).toBe(1);
  });

  test('is allowed as the value of another header', async () => {
    const headers = { about: 'waybill-saga-id', quoted: '"waybill-x": 1', 'my-waybill-x': 'y' };
    await fixture.transaction((tx) =>
      fixture.outbox.publish(tx, { topic: 'orders', payload: { n: 1 }, headers }),
    );
    await fixture.database.pool.query("select waybill.publish('orders', null, '{\"n\": 2}', $1)", [headers]);
    await fixture.moveAll();
    expect((await fixture.log()).map((record) => record.headers)).toMatchObject([headers, headers]);
  });
});

describe('a saga', () => {
  let floor: SagaFloor;
  let id: string;
  let held: Record<string, string>;
  let release: () => void;

  beforeEach(async () => {
    floor = await SagaFloor.open([definition as never]);
    const gate = new Promise<void>((resolve) => (release = resolve));
    held = {};
    const pay: Work = async (delivery, client) => {
      held = { ...delivery.control };
      await gate;
      return note('charge', { chargeId: 'real' })(delivery, client);
    };
    await floor.serve('payments', { 'payments.charge': pay, 'payments.refund': note('refund') });
    await floor.carry();
    ({ id } = await floor.start(definition, 'A-1', { orderId: 'A-1' }));
    await waitUntil(() => held['waybill-saga-id'] !== undefined, { describe: 'the command is in flight' });
  });
  afterEach(async () => {
    release();
    await floor.close();
  });

  const answer = (changes: Record<string, string | undefined>): Record<string, string> =>
    Object.fromEntries(
      Object.entries({
        'waybill-saga-id': id,
        'waybill-saga-step': 'charge',
        'waybill-saga-branch': 'charge',
        'waybill-saga-op': 'action',
        'waybill-saga-attempt': '1',
        'waybill-reply-status': 'done',
        ...changes,
      }).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );

  /** What a forger writes into the reply topic; after it, a message that shows that the forged one was read. */
  const forge = async (headers: Record<string, string>, value: unknown): Promise<void> => {
    const before = (await floor.operations.refusals()).length;
    await appendRaw(floor.fixture, [{ topic: 'orders.saga-replies', key: id, headers, value }]);
    await waitUntil(async () => (await floor.operations.refusals()).length === before + 1, {
      describe: 'the forged message is refused, and stored as refused',
    });
  };

  test('trusts no reply without a MAC, or with that of another command', async () => {
    const good = held['waybill-saga-mac'] ?? '';
    const [key = '', mac = ''] = good.split('.');
    const forged: Record<string, string | undefined>[] = [
      {},
      { 'waybill-saga-mac': '' },
      { 'waybill-saga-mac': `${key}.${Buffer.alloc(32).toString('base64url')}` },
      { 'waybill-saga-mac': `${Number(key) + 1}.${mac}` },
      { 'waybill-saga-mac': `99999999999999999999.${mac}` },
      { 'waybill-saga-mac': good, 'waybill-saga-attempt': '2' },
      { 'waybill-saga-mac': good, 'waybill-saga-op': 'compensate' },
      { 'waybill-saga-mac': good, 'waybill-saga-step': 'approve' },
      { 'waybill-saga-mac': good, 'waybill-saga-id': newId() },
      { 'waybill-saga-mac': good, 'waybill-saga-id': "no uuid'" },
      { 'waybill-saga-mac': good, 'waybill-saga-id': '__proto__' },
    ];
    for (const changes of forged) await forge(answer(changes), { chargeId: 'forged' });
    await forge({ 'saga-id': id, 'reply-status': 'done', 'saga-step': 'charge' }, { chargeId: 'forged' });
    expect(await floor.operations.show(id)).toMatchObject({ state: 'RUNNING', revision: 1 });
    expect(floor.service.refusals.count).toBe(forged.length + 1);
    release();
    await waitUntil(async () => (await floor.operations.show(id)).instance.data['chargeId'] === 'real', {
      describe: 'the real reply counts',
    });
  });

  test('ignores a forged event, and takes no order from the log', async () => {
    const order = { by: 'the director', reason: null, revision: 1, orderedMs: 1 };
    const events = [
      { type: 'signal', name: 'approved', payload: {} },
      { type: 'child', step: 'charge', state: 'COMPLETED', data: {} },
      { type: 'undo', reason: 'because' },
      { type: 'compensate', reason: 'because' },
      { type: 'cancel', reason: 'because' },
      { type: 'skip', step: 'charge' },
      { type: 'retry', step: 'charge' },
      { type: 'resolve', step: 'charge', data: { chargeId: 'forged' } },
      { type: 'due' },
      { type: 'start', data: {}, deadlineMs: null },
      { type: 'constructor' },
      null,
    ];
    for (const event of events)
      for (const mac of [undefined, held['waybill-saga-mac']]) {
        const headers = { 'waybill-saga-id': id, 'waybill-saga-event': String(event?.type) };
        await forge(mac === undefined ? headers : { ...headers, 'waybill-saga-mac': mac }, { event, order });
      }
    expect(await floor.operations.show(id)).toMatchObject({ state: 'RUNNING', revision: 1, actions: [] });
    expect(await floor.fixture.value('select count(*)::int from waybill.operator_action')).toBe(0);
  });

  test('a genuine signal counts only for its own saga', async () => {
    const { id: other } = await floor.start(definition, 'A-2', { orderId: 'A-2' });
    await floor.fixture.transaction((tx) => floor.sagas.signal(tx, id, 'approved', { by: 'x' }));
    const signal = async () =>
      (await floor.fixture.log('orders.saga-replies')).find(
        ({ headers }) => headers['waybill-saga-event'] === 'signal',
      );
    await waitUntil(async () => (await signal()) !== undefined, { describe: 'the signal is in the log' });
    const sent = await signal();
    const { 'waybill-id': _, ...kept } = { ...sent?.headers } as Record<string, string>;
    const headers = { ...kept, 'waybill-saga-id': other };
    await forge(headers, sent?.payload);
    release();
    await floor.until(id, 'COMPLETED');
    expect((await floor.operations.show(other)).state).toBe('RUNNING');
  });

  test('replies under a key that was rotated count, and those under a revoked key do not', async () => {
    await floor.database.pool.query(
      "update waybill.saga_mac_key set created_at = created_at - interval '31 days'",
    );
    const { id: next } = await floor.start(definition, 'A-3', { orderId: 'A-3' });
    expect(next).not.toBe(id);
    release();
    for (const one of [id, next])
      await waitUntil(async () => (await floor.operations.show(one)).instance.data['chargeId'] === 'real', {
        describe: 'both replies count',
      });
  });

  test('orders are given only by a function that knows the login', async () => {
    const login = `ops_${newId().replaceAll('-', '').slice(20)}`;
    const { pool } = floor.database;
    await pool.query(`create role ${login} login password 'x'; grant usage on schema waybill to ${login};
      grant execute on function waybill.order_saga(uuid, jsonb, bigint, text, text) to ${login}`);
    const url = new URL(floor.fixture.url);
    Object.assign(url, { username: login, password: 'x' });
    const operator = new pg.Client({ connectionString: url.href });
    await operator.connect();
    const order = (event: object, by = 'the director'): Promise<unknown> =>
      operator.query('select waybill.order_saga($1, $2, 1, $3)', [id, event, by]);
    for (const event of [
      { type: 'reply', step: 'charge', op: 'action', attempt: 1, status: 'done' },
      { type: 'signal', name: 'approved' },
      { type: 'skip' },
      { type: 'resolve', step: 'charge', data: 7 },
      {},
    ])
      await expect(order(event)).rejects.toMatchObject({ code: '22023' });
    await expect(order({ type: 'cancel', reason: 'x' }, ' ')).rejects.toMatchObject({ code: '22023' });
    for (const text of ['select * from waybill.saga_order', 'select * from waybill.saga_mac_key'])
      await expect(operator.query(text)).rejects.toMatchObject({ code: '42501' });
    await order({ type: 'skip', step: 'charge' });
    await waitUntil(async () => (await floor.operations.show(id)).actions[0]?.outcome === 'applied', {
      describe: 'the order is carried out',
    });
    const { rows } = await pool.query('select actor, stated_by, action from waybill.operator_action');
    expect(rows).toEqual([{ actor: login, stated_by: 'the director', action: 'saga.skip' }]);
    expect((await floor.operations.show(id)).actions[0]).toMatchObject({ actor: login, by: 'the director' });
    await operator.end();
    await pool.query(`drop owned by ${login}; drop role ${login}`);
  });

  test('an order that cannot be carried out is refused once, and delays no other', async () => {
    const operator = { by: 'ann' };
    await expect(floor.operations.resolve(id, 'nowhere', {}, operator)).rejects.toMatchObject({
      code: 'SAGA_ORDER_REFUSED',
    });
    await floor.operations.cancel(id, operator);
    release();
    await floor.until(id, 'CANCELLED');
  });
});

test("an operator's edit of a dead letter changes nothing that Waybill trusts in it", async () => {
  const fixture = await Fixture.create();
  await fixture.database.pool.query(
    `with g as (insert into waybill.consumer_group (name) values ('g') returning id)
     insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler, headers, timestamp_ms,
                                      reason, error_class, error_message, fingerprint, attempts, first_failed_at, last_failed_at)
     select g.id, 1, 0, 1, 'orders', 0, 'h', '[]', 0, 'r', 'E', 'm', 'f', 1, now(), now() from g`,
  );
  const [letter] = await fixture.deadLetters.list();
  for (const name of ['waybill-saga-id', 'Waybill-Reply-To'])
    await expect(
      fixture.deadLetters.edit(letter?.id ?? 0, { headers: { [name]: 'x' } }, { by: 'ann' }),
    ).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
  expect((await fixture.deadLetters.list())[0]?.state).toBe('open');
  await fixture.close();
});

test('the audit records the login, whatever name is given', async () => {
  const fixture = await Fixture.create();
  await fixture.database.pool.query(
    `insert into waybill.operator_action (actor, acted_at, stated_by, action, target_kind, target)
     values ('the director', '1999-01-01', 'eve', 'discard', 'dead-letter', '1')`,
  );
  const { rows } = await fixture.database.pool.query(
    `select actor = session_user as own, acted_at > now() - interval '1 minute' as recent from waybill.operator_action`,
  );
  expect(rows).toEqual([{ own: true, recent: true }]);
  await fixture.close();
});

test('a rejection is trusted with its MAC', async () => {
  const floor = await SagaFloor.open([definition as never]);
  await floor.serve('payments', {
    'payments.charge': async () => {
      throw new SagaRejectedError('no money');
    },
    'payments.refund': note('refund'),
  });
  await floor.carry();
  const { id } = await floor.start(definition, 'A-1', { orderId: 'A-1' });
  await floor.until(id, 'COMPENSATED');
  expect(await floor.operations.refusals()).toEqual([]);
  await floor.close();
});

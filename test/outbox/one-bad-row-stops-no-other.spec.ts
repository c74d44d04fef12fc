import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Bell, type Logger, newId } from '@waybill/kernel';
import { Relay, type RelayOptions } from '@waybill/outbox';
import { Recurring } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { HalfFloor } from '../support/half-operations.js';
import { drain } from '../support/own-databases.js';
import { outboxOf } from '../support/places.js';
import { message, timersOf } from '../support/timers.js';

let fixture: Fixture;
let warnings: string[];
let logger: Logger;
async function open(): Promise<void> {
  fixture = await Fixture.create({ orders: { partitions: 2 } });
  warnings = [];
  logger = { debug() {}, info() {}, warn: (line) => void warnings.push(line), error() {} };
}

const INSERT = `insert into waybill.outbox (message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at,
                                            timer_token)
                select coalesce(r.message_id, gen_random_uuid()), r.topic, r.partition_number, r.key, r.headers,
                       coalesce(r.payload, '{"n": -1}'), r.timer_action, r.deliver_at, r.timer_token
                  from jsonb_populate_record(null::waybill.outbox, $1) r`;

function insert(row: object, client: pg.Pool | pg.PoolClient = fixture.database.pool): Promise<unknown> {
  return client.query(INSERT, [JSON.stringify({ topic: 'orders', ...row })]);
}

interface Quarantined {
  readonly topic: string;
  readonly origin: string;
  readonly code: string;
  readonly reason: string;
  readonly role: string;
}

async function quarantined(): Promise<Quarantined[]> {
  const { rows } = await fixture.database.pool.query<Quarantined>(
    `select topic, origin, reason_code as code, reason, published_by as role
       from waybill.outbox_quarantine order by quarantine_id`,
  );
  return rows;
}

/** As an operator might, by hand: Waybill itself removes none. */
async function removeTopic(name: string): Promise<void> {
  const schemas = [
    [fixture.database, 'waybill'],
    [fixture.bus, 'waybill_bus'],
  ] as const;
  for (const [{ pool }, schema] of schemas)
    await pool.query(
      `with gone as (delete from ${schema}.topic_partition p using ${schema}.topic t where t.id = p.topic_id and t.name = $1)
       select 1`,
      [name],
    );
  for (const [{ pool }, schema] of schemas)
    await pool.query(`delete from ${schema}.topic where name = $1`, [name]);
}

async function moveAll(options: RelayOptions = {}): Promise<Relay> {
  const { database, engine: log } = fixture;
  const relay = new Relay({ database, log, bell: new Bell(), logger }, options);
  await drain(relay);
  return relay;
}

describe('a row that no relay could move is refused when it is inserted', () => {
  beforeAll(open);
  afterAll(() => fixture.close());
  const wide = (count: number): object =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`h${index}`, 'x']));
  test.each<[string, object, RegExp]>([
    ['a partition below 0', { partition_number: -1 }, /partition/],
    ['a partition that no topic can have', { partition_number: 9999 }, /partition/],
    ['an invalid topic name', { topic: 'a topic' }, /topic/],
    ['a topic without a name', { topic: '' }, /topic/],
    ['a topic with a long name', { topic: 'x'.repeat(250) }, /topic/],
    ['a key of 2 MB', { key: 'k'.repeat(2_000_000) }, /key has 2000000 bytes/],
    ['50,000 headers', { headers: wide(50_000) }, /50000 headers/],
    ['65 headers', { headers: wide(65) }, /65 headers/],
    ['long headers', { headers: { a: 'x'.repeat(16_384) } }, /16385 bytes/],
    ['headers that are an array', { headers: ['a'] }, /headers must be an object/],
    ['headers that are a number', { headers: 1 }, /headers must be an object/],
    ['a header that is a number', { headers: { a: 1 } }, /header is not a string/],
    ['a header that is null', { headers: { a: null } }, /header is not a string/],
    ['a header that is an array', { headers: { a: ['x'] } }, /header is not a string/],
    ['a header without a name', { headers: { '': 'x' } }, /header name/],
    ['a header with a blank in its name', { headers: { 'a b': 'x' } }, /header name/],
    ['a header with a long name', { headers: { ['a'.repeat(257)]: 'x' } }, /header name/],
    ['a header of two lines', { headers: { a: 'x\ny' } }, /control characters/],
    ['a timer without a time', { timer_action: 1 }, /deliver_at/],
    ['a timer that is moved without a time', { topic: '', timer_action: 3 }, /deliver_at/],
    ['a timer at infinity', { timer_action: 1, deliver_at: 'infinity' }, /deliver_at/],
    ['a timer at minus infinity', { timer_action: 1, deliver_at: '-infinity' }, /deliver_at/],
    ['a timer in the year 290000', { timer_action: 1, deliver_at: '290000-01-01' }, /deliver_at/],
    ['a timer that is cancelled at a time', { topic: '', timer_action: 2, deliver_at: 'now' }, /time/],
    ['a time without a timer', { deliver_at: 'now' }, /timer_action/],
    ['a token without a timer', { timer_token: 'a' }, /timer_action/],
    ['a long token', { timer_action: 1, deliver_at: 'now', timer_token: 'x'.repeat(3_000) }, /timer_token/],
    ['an unknown timer action', { topic: '', timer_action: 4, deliver_at: 'now' }, /timer_action/],
  ])('%s', async (_, row, problem) => {
    await expect(insert(row)).rejects.toThrow(problem);
  });

  test('a payload of 80 MB', async () => {
    await expect(
      fixture.value(`select waybill.publish('orders', 'k', to_jsonb(repeat('x', 80000000)))`),
    ).rejects.toThrow(/payload has 80000002 bytes/);
  });

  test.each(['id', 'xid', 'created_at', 'published_by'])('a forged %s', async (column) => {
    const forged = {
      id: '1',
      xid: `'9223372036854775807'`,
      created_at: `'infinity'`,
      published_by: `'somebody'`,
    };
    await expect(
      fixture.value(
        `insert into waybill.outbox (message_id, topic, ${column})
         values (gen_random_uuid(), 'orders', ${forged[column as keyof typeof forged]})`,
      ),
    ).rejects.toThrow(/must keep their defaults|currval/);
  });

  test('publish() enforces the same limits, with typed errors', async () => {
    for (const call of [
      `select waybill.publish('orders', repeat('k', 2000000), '1')`,
      `select waybill.publish('orders', 'k', '1', '{"a": 1}')`,
      `select waybill.publish('orders', 'k', '1', null, now(), repeat('x', 257))`,
    ])
      await expect(fixture.value(call)).rejects.toMatchObject({ code: 'WB006', detail: 'orders' });
  });
});

describe('a row that cannot be moved is quarantined, and the others move in order', () => {
  beforeEach(open);
  afterEach(() => fixture.close());

  test('topics that were never created, and partitions that a topic does not have', async () => {
    for (const n of upTo(20)) {
      if (n % 5 === 0) await insert({ topic: 'nobody.knows.it', payload: '\\x7b7d' });
      if (n % 7 === 0) await insert({ partition_number: 3 });
      if (n % 9 === 0) await insert({ topic: 'nor.this', timer_action: 1, deliver_at: 'now' });
      await fixture.publish(n, 'k');
    }
    const relay = await moveAll();
    expect((await fixture.log()).map(({ payload }) => payload.n)).toEqual(upTo(20));
    const codes = await quarantined();
    expect(codes.map(({ code }) => code).toSorted()).toEqual([
      ...Array.from({ length: 3 }, () => 'MESSAGE_INVALID'),
      ...Array.from({ length: 7 }, () => 'TOPIC_UNKNOWN'),
    ]);
    expect(codes[0]).toMatchObject({
      origin: 'outbox',
      topic: 'nobody.knows.it',
      role: expect.stringMatching(/./),
    });
    expect(relay.quarantined).toBe(10);
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toMatch(/"nobody.knows.it" could not be moved and is quarantined \(TOPIC_UNKNOWN/);
  });

  test('also in windows of a large difference', async () => {
    for (const n of upTo(30)) {
      await insert({ topic: `none-${n % 3}` });
      await fixture.publish(n, 'k');
    }
    await moveAll({ smallDifferenceRows: 2, windowRows: 7 });
    expect((await fixture.log()).map(({ payload }) => payload.n)).toEqual(upTo(30));
    expect(await quarantined()).toHaveLength(30);
  });

  test('except a topic that this process does not know yet', async () => {
    // The same relay: a new one reads the topics before its first pass.
    await fixture.publish(0);
    const relay = await moveAll();
    await fixture.engineOf(fixture.database).topics.create('newer', { partitions: 1 });
    await fixture.publish(1, 'k', 'newer');
    await drain(relay);
    expect(numbersOf(await fixture.log('newer'))).toEqual([1]);
    expect(await quarantined()).toEqual([]);
  });

  test('nor one that another part of this process reads while the relay works', async () => {
    await fixture.publish(0);
    const relay = await moveAll();
    await fixture.engineOf(fixture.database).topics.create('newer', { partitions: 1 });
    await fixture.publish(1, 'k', 'newer');
    const { topics } = fixture;
    const { restore } = topics;
    // The first thing that the relay asks for when it does not know a topic.
    topics.restore = async () => {
      await topics.list();
      return restore.call(topics);
    };
    await drain(relay);
    expect(numbersOf(await fixture.log('newer'))).toEqual([1]);
    expect(await quarantined()).toEqual([]);
  });

  test('a topic that has since been removed', async () => {
    await fixture.topics.create('gone', { partitions: 1 });
    await moveAll();
    for (const n of upTo(10)) {
      await fixture.publish(n, 'k', 'gone');
      await fixture.publish(n, 'k');
    }
    await removeTopic('gone');
    await moveAll();
    expect((await fixture.log()).map(({ payload }) => payload.n)).toEqual(upTo(10));
    expect((await quarantined()).map(({ code }) => code)).toEqual(
      Array.from({ length: 10 }, () => 'TOPIC_UNKNOWN'),
    );
  });

  test('one because of which the database refuses the whole pass', async () => {
    await fixture.database.pool.query(
      `alter table waybill.timer add constraint picky check (token <> 'the bad one')`,
    );
    for (const n of upTo(40)) {
      await fixture.publish(n, 'k');
      const timer = { timer_action: 1, deliver_at: '2200-01-01' };
      await insert({ ...timer, timer_token: n === 17 || n === 31 ? 'the bad one' : 'good' });
    }
    await moveAll();
    expect((await fixture.log()).map(({ payload }) => payload.n)).toEqual(upTo(40));
    expect(await fixture.value(`select count(*)::int from waybill.timer`)).toBe(38);
    expect(await quarantined()).toMatchObject([
      { code: '23514', reason: expect.stringMatching(/picky/) },
      { code: '23514' },
    ]);
  });

  test('a failure that affects every row quarantines none', async () => {
    await fixture.publish(1);
    await fixture.bus.pool.query('alter function waybill_bus.log_append rename to log_append_moved');
    const { database, engine: log } = fixture;
    // The same relay goes on: another one leaves a pass that is this young to its maker.
    const relay = new Relay({ database, log, bell: new Bell(), logger });
    await expect(drain(relay)).rejects.toThrow();
    await fixture.bus.pool.query('alter function waybill_bus.log_append_moved rename to log_append');
    await drain(relay);
    expect(numbersOf(await fixture.log())).toEqual([1]);
    expect(await quarantined()).toEqual([]);
  });

  test("a transaction in another database does not use what is known of this database's topics", async () => {
    const other = await Fixture.create({ orders: {} });
    try {
      await fixture.topics.create('only.here');
      const outbox = outboxOf();
      await expect(
        other.transaction((client) => outbox.publish(client, { topic: 'only.here', payload: { n: 1 } })),
      ).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    } finally {
      await other.close();
    }
  });
});

test('of half messages that are committed together, only the one whose topic was removed fails', async () => {
  await open();
  try {
    await fixture.topics.create('gone', { partitions: 1 });
    const { halves } = new HalfFloor(fixture);
    let letGo = (): void => {};
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    let waiting = 0;
    const sent = Promise.allSettled(
      upTo(10).map((n) =>
        halves.execute({ topic: n === 4 ? 'gone' : 'orders', key: 'k', payload: { n } }, async () => {
          waiting += 1;
          await gate;
        }),
      ),
    );
    await waitUntil(() => waiting === 10, { describe: 'all are prepared' });
    await removeTopic('gone');
    await fixture.topics.list();
    letGo();
    const ends = await sent;
    expect(ends.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([4]);
    expect(ends[4]).toMatchObject({ reason: { code: 'TOPIC_UNKNOWN' } });
    await fixture.moveOwn();
    expect(numbersOf(await fixture.log())).toEqual(upTo(10).filter((n) => n !== 4));
  } finally {
    await fixture.close();
  }
});

describe('a timer that cannot be fired is quarantined, and the others fire', () => {
  beforeEach(open);
  afterEach(() => fixture.close());

  const due = async (count: number): Promise<void> => {
    const { timers, service } = timersOf(fixture, undefined, {}, { logger });
    await waitUntil(async () => (await timers.stats()).due === count, { describe: 'all are due' });
    while ((await service.runOnce()) === 'again');
    await fixture.moveOwn();
  };

  test('when its topic has since been removed', async () => {
    const { timers } = timersOf(fixture);
    await fixture.topics.create('gone', { partitions: 1 });
    for (const n of upTo(6)) {
      await timers.schedule(message(n), { delayMs: 0 });
      await timers.schedule({ ...message(n), topic: 'gone' }, { delayMs: 0 });
    }
    await removeTopic('gone');
    await due(12);
    expect(numbersOf(await fixture.log())).toEqual(upTo(6));
    expect(await quarantined()).toMatchObject(
      Array.from({ length: 6 }, () => ({ origin: 'timer', topic: 'gone', code: 'TOPIC_UNKNOWN' })),
    );
    expect(warnings).toHaveLength(1);
  });

  test('whatever its row holds', async () => {
    const { timers } = timersOf(fixture);
    const raw = `insert into waybill.timer (slot, due_at, kind, message_id, token, topic, partition_number, headers, payload)
                 values (8, clock_timestamp(), $1, $2, $3, $4, $5, $6, '{"n": -1}')`;
    const { pool } = fixture.database;
    await pool.query(raw, [1, newId(), null, 'a topic', null, null]);
    await pool.query(raw, [1, newId(), null, 'orders', -7, null]);
    await pool.query(raw, [1, newId(), null, 'orders', null, '7']);
    await pool.query(raw, [1, null, null, 'orders', null, null]);
    await pool.query(raw, [2, null, 'nothing', null, null, 'null']);
    const recurring = new Recurring(fixture.database.session, (one) => fixture.outbox.encode(one));
    await recurring.put('often', { topic: 'orders', payload: { n: 0 }, everyMs: 3_600_000 });
    await pool.query(raw, [2, null, 'often', null, null, 'null']);
    await timers.schedule(message(1), { delayMs: 0 });
    await due(7);
    expect(numbersOf(await fixture.log())).toContain(1);
    expect((await quarantined()).map(({ code }) => code)).toEqual(
      expect.arrayContaining(['TOPIC_UNKNOWN', 'MESSAGE_INVALID', 'UNREADABLE']),
    );
  });

  test.each([
    ['without an end', `(8, 'infinity', 1, gen_random_uuid(), 'orders', null)`],
    ['with a token too long for an index', `(8, now(), 1, gen_random_uuid(), 'orders', repeat('x', 5000))`],
  ])('one %s is refused', async (_, values) => {
    await expect(
      fixture.value(
        `insert into waybill.timer (slot, due_at, kind, message_id, topic, token) values ${values}`,
      ),
    ).rejects.toThrow(/constraint/);
  });

  test('one because of which the database refuses the whole pass', async () => {
    const { timers } = timersOf(fixture);
    for (const n of upTo(20)) await timers.schedule(message(n, { key: 'k' }), { delayMs: 0 });
    const bad = await fixture.topics.create('bad', { partitions: 1 });
    await timers.schedule({ ...message(99), topic: 'bad' }, { delayMs: 0 });
    await fixture.bus.pool.query(
      `alter table waybill_bus.log_segment add constraint picky check (partition_id <> ${bad.partitionIds[0]})`,
    );
    await due(21);
    // A bus elsewhere refuses a pass, which is made again without the message.
    await waitUntil(async () => (await fixture.sentLog()).length === 20, {
      describe: 'the others are in the log',
    });
    expect(numbersOf(await fixture.log())).toEqual(upTo(20));
    // A bus elsewhere gets it from the outbox, to which it has been moved by then.
    const origin = fixture.bus === fixture.database ? 'timer' : 'outbox';
    expect(await quarantined()).toMatchObject([{ origin, topic: 'bad', code: '23514' }]);
  });
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { ShopFloor } from '../support/shop-floor.js';

let fixture: Fixture;
let floor: ShopFloor;
beforeAll(async () => {
  fixture = await Fixture.create({
    orders: { partitions: 2, retentionMs: 7 * 86_400_000 },
    parcels: { partitions: 1 },
  });
  floor = new ShopFloor(fixture);
  await floor.publish([1, 2, 3].map((n) => ({ n, key: 'a' })));
  await floor.consume((delivery) => floor.keep(delivery));
  await waitUntil(async () => (await floor.effects()).length === 3, { describe: 'all took effect' });
  await waitUntil(async () => (await json<{ lag: number }>('lag')).every(({ lag }) => lag === 0), {
    describe: 'the positions are stored',
  });
});
afterAll(async () => {
  await floor.close();
  await fixture.close();
});

async function waybill(...args: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync(['--database-url', fixture.url, ...args], { from: 'user' });
  return printed;
}

async function json<T>(...args: string[]): Promise<T[]> {
  return JSON.parse(await waybill(...args, '--json')) as T[];
}

test('lag: all groups with their sum, one group, only groups with a lag, one topic', async () => {
  const lines = (await waybill('lag')).trimEnd().split('\n');
  expect(lines[0]).toMatch(/^GROUP +TOPIC +PARTITION +POSITION +END +LAG$/);
  expect(lines).toHaveLength(4);
  expect(lines.at(-1)).toMatch(/^TOTAL +0$/);
  const lags = await json<{ end: number }>('lag', 'test');
  expect(lags).toMatchObject([
    { group: 'test', topic: 'orders', partition: 0 },
    { group: 'test', topic: 'orders', partition: 1 },
  ]);
  expect(lags.reduce((sum, { end }) => sum + end, 0)).toBe(3);
  expect(await waybill('lag', '--lagging')).toBe('');
  expect(await json('lag', '--topic', 'parcels')).toEqual([]);
});

test('groups: a list, and one with its members and partitions', async () => {
  expect(await waybill('groups', 'list')).toMatch(/^GROUP +MEMBERS +LAG +TOPICS\ntest +1 +0 +orders\n$/);
  expect(await json('group', 'list')).toEqual([{ group: 'test', members: 1, lag: 0, topics: ['orders'] }]);
  expect(await waybill('groups', 'describe', 'test')).toMatch(
    /^GROUP.*\ntest .*\n\nMEMBER +JOINED +PARTITIONS +TOPICS\n\S{36} +\S+ +2 +orders\n\nGROUP +TOPIC/,
  );
  const described = JSON.parse(await waybill('groups', 'describe', 'test', '--json')) as object;
  expect(described).toMatchObject({ group: 'test', members: [{ partitions: 2 }], partitions: [{}, {}] });
});

test('topics: a list, one with its partitions and readers; created and changed, with durations', async () => {
  expect(await waybill('topics', 'list')).toMatch(
    /^TOPIC +PARTITIONS +RETENTION +ON DEAD LETTER +ON EXPIRED\norders +2 +7d +unblock +dead-letter\nparcels /,
  );
  expect(await json('topic', 'list')).toMatchObject([{ name: 'orders', partitions: 2 }, { name: 'parcels' }]);
  expect(await waybill('topics', 'describe', 'orders')).toMatch(
    /PARTITION +START +END\n +0 +0 +\d\n[^]*\ntest +orders/,
  );
  expect(await waybill('topics', 'describe', 'parcels')).toContain('no group reads it');
  expect(JSON.parse(await waybill('topics', 'describe', 'orders', '--json'))).toMatchObject({
    name: 'orders',
    partitions: [{ partition: 0 }, { partition: 1 }],
    groups: [{ group: 'test' }, { group: 'test' }],
  });
  expect(await waybill('topics', 'create', 'returns', '--partitions', '1', '--retention', '36h')).toMatch(
    /\nreturns +1 +36h /,
  );
  expect(await waybill('topic', 'set', 'returns', '--retention', '2d', '--on-dead-letter', 'park')).toMatch(
    /\nreturns +1 +2d +park /,
  );
  await expect(waybill('topic', 'set', 'returns', '--retention', '7')).rejects.toThrow(
    'must be a duration, such as',
  );
  await expect(waybill('topic', 'set', 'returns', '--retention', '0.5h')).rejects.toThrow(
    'must be a duration',
  );
});

test.each([
  [['lag', 'tset'], 'group tset (did you mean test?)'],
  [['lag', '--topic', 'order'], 'topic order (did you mean orders?)'],
  [['groups', 'describe', 'tst'], 'group tst (did you mean test?)'],
  [['topics', 'describe', 'ordres'], 'topic ordres (did you mean orders?)'],
  [['topics', 'set', 'parcel', '--retention', '1d'], 'topic parcel (did you mean parcels?)'],
])('a name that does not exist: %j', async (words, says) => {
  await expect(waybill(...words)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining(says),
  });
});

test('reconciling a database that went back: without --yes only prints what it would do', async () => {
  const before = await fixture.value('select count(*)::int from waybill.relay_intent');
  expect(await waybill('relay', 'reconcile')).toMatch(/would start over.*use --yes\n$/);
  expect(await fixture.value('select count(*)::int from waybill.relay_intent')).toBe(before);
});

test('the migrations, as text and as JSON', async () => {
  expect(await waybill('migrate', '--status')).toMatch(/^APPLIED +MIGRATION\n\d{4}-\S+ +0001-acl\n/);
  expect((await json('migrate', '--status'))[0]).toMatchObject({ number: 1, name: '0001-acl' });
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';

const WRITERS = 16;
const EACH = 120;

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create();
});
afterAll(() => fixture.close());

/** A repeatable sequence of numbers below `limit` (the minimal standard generator of Park and Miller, 1988). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}

test('16 writers with interleaving transactions, savepoints and rollbacks: all that committed is in the log, once, each key in commit order', async () => {
  const committed: number[] = [];
  await fixture.database.pool.query('create table counter (key text primary key, value int not null)');
  await fixture.database.pool.query(`insert into counter select 'key-' || i, 0 from generate_series(0, 4) i`);
  let writing = true;
  const relays = [fixture.relay(), fixture.relay({ smallDifferenceRows: 3, windowRows: 5 })].map(
    async (relay) => {
      while (writing) await relay.runOnce();
    },
  );

  const writer = async (index: number): Promise<void> => {
    const random = randomFrom(index + 1);
    const client = await fixture.database.pool.connect();
    for (let count = 0; count < EACH; count += 1) {
      const n = index * EACH + count;
      const key = `key-${random(5)}`;
      await client.query('begin');
      // The row's lock is held until the end: the counter's order is the order of commits.
      const { rows } = await client.query<{ value: number }>(
        'update counter set value = value + 1 where key = $1 returning value',
        [key],
      );
      await client.query('savepoint s');
      await fixture.outbox.publish(client, { topic: 'orders', key, payload: { n: -1 } });
      await client.query('rollback to savepoint s');
      await fixture.outbox.publish(client, { topic: 'orders', key, payload: { n, value: rows[0]?.value } });
      const end = random(10) === 0 ? 'rollback' : 'commit';
      await client.query(end);
      if (end === 'commit') committed.push(n);
    }
    client.release();
  };
  await Promise.all(upTo(WRITERS).map(writer));
  writing = false;
  await Promise.all(relays);
  await fixture.moveAll();

  const records = await fixture.log();
  expect(numbersOf(records)).toEqual(committed.toSorted((a, b) => a - b));
  expect(faultsOf(records)).toEqual([]);
  const newest = new Map<string | null, number>();
  for (const { key, payload } of records) {
    const value = payload['value'] as number;
    expect(value).toBeGreaterThan(newest.get(key) ?? 0);
    newest.set(key, value);
  }
});

import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Bell, PgDatabase } from '@waybill/kernel';
import { decodeBatch, type LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { outboxOf } from '../support/places.js';

const SLOT_MS = 600_000;
/** The longest names that leave room for that of the log's schema, equal up to the last character. */
const LONG = ['a', 'b'].map((last) => `shop_${'x'.repeat(49)}${last}`);

describe('a schema with a name of the maximum length', () => {
  let database: TestDatabase;
  const schemas: PgDatabase[] = [];
  beforeAll(async () => {
    database = await testDatabase('flow');
    for (const schema of LONG) {
      await migrate({ ...database, schema });
      schemas.push(new PgDatabase({ ...database, schema, connectionsMax: 5 }));
    }
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await Promise.all(schemas.map((schema) => schema.close()));
    await database.drop();
  });

  /** All relayed messages, after one more pass. */
  const relayed = async (own: PgDatabase, log: LogEngine): Promise<string[]> => {
    const relay = new Relay({ database: own, log, bell: new Bell() });
    await relay.runOnce();
    const { partitionIds } = await log.topics.get('orders');
    const { batches } = await log.fetch([{ partitionId: partitionIds[0] as number, offset: 0 }]);
    return batches.flatMap(({ data }) => [...decodeBatch(data)].map(({ value }) => String(value)));
  };

  test('is published to on one connection, for every current slot, together with another such schema', async () => {
    const now = Date.now();
    const client = await (schemas[0] as PgDatabase).pool.connect();
    try {
      for (const own of schemas) await new PostgresLogEngine(own).topics.create('orders', { partitions: 1 });
      for (let slot = 0; slot < 8; slot += 1) {
        jest.spyOn(Date, 'now').mockReturnValue(now + slot * SLOT_MS);
        for (const { schema } of schemas) {
          await client.query('begin');
          await outboxOf({ schema }).publish(client, { topic: 'orders', payload: { slot, to: schema } });
          await client.query('commit');
        }
        jest.restoreAllMocks();
      }
    } finally {
      client.release();
    }
    for (const own of schemas) {
      const expected = Array.from({ length: 8 }, (_, slot) => JSON.stringify({ slot, to: own.schema }));
      expect(await relayed(own, new PostgresLogEngine(own))).toEqual(expected);
    }
  });

  test('sends its signals to its own processes, and to no other schema', async () => {
    const [own, other] = schemas as [PgDatabase, PgDatabase];
    const sender = new PostgresLogEngine(own).signals;
    const receiver = new PostgresLogEngine(own).signals;
    const stranger = new PostgresLogEngine(other).signals;
    const friend = new PostgresLogEngine(other).signals;
    const rung = { receiver: 0, stranger: 0, marker: 0 };
    receiver.subscribe(
      'redrive',
      bellFor(() => (rung.receiver += 1)),
    );
    stranger.subscribe(
      'redrive',
      bellFor(() => (rung.stranger += 1)),
    );
    stranger.subscribe(
      'group',
      bellFor(() => (rung.marker += 1)),
    );
    const all = [sender, receiver, stranger, friend];
    try {
      for (const signals of all) signals.start();
      const heard = (who: keyof typeof rung, send: () => void): Promise<void> =>
        waitUntil(() => (send(), rung[who] > 0), { describe: `a signal for the ${who}` });
      await heard('marker', () => friend.send('group'));
      await heard('receiver', () => sender.send('redrive'));
      rung.marker = 0;
      // It comes after the other one.
      await heard('marker', () => friend.send('group'));
      expect(rung.stranger).toBe(0);
    } finally {
      for (const signals of all) await signals.stop();
    }
  });
});

function bellFor(listener: () => void): Bell {
  const bell = new Bell();
  bell.onRing(listener);
  return bell;
}

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import { PgDatabase, silentLogger } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';

let fixture: Fixture;
let proxy: TcpProxy;
let database: PgDatabase;
let consumer: Consumer | undefined;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  proxy = await TcpProxy.start(fixture.url);
  database = new PgDatabase({ connectionString: proxy.url });
});
afterEach(async () => {
  await consumer?.stop();
  await database.close();
  await proxy.close();
  await fixture.close();
});

test('a message whose parking arrives when it has long taken effect is not parked again', async () => {
  let calls = 0;
  const handler: Handler = async ({ transaction }) => {
    calls += 1;
    if (calls <= 2) throw new Error('it fails twice');
    await (transaction as pg.PoolClient).query('insert into effect (n) values (0)');
  };
  const retry = { immediateAttempts: 0, delayMs: 1 };
  consumer = consumerOf(
    {
      group: 'test',
      subscriptions: [resolveSubscription('orders', handler, { retry })],
      database,
      transactions: runnerOn(fixture.database),
      log: fixture.engineOf(database),
      logger: silentLogger,
    },
    // A statement is known by its text.
    { preparedStatements: false },
  );
  const held = proxy.holdWhenSent(['insert into "waybill".parked_message']);
  await fixture.publish(0);
  await fixture.moveAll();
  await consumer.start();
  const late = await held;
  const effects = (): Promise<number> => fixture.value('select count(*)::int from effect');
  await waitUntil(async () => (await effects()) === 1, { describe: 'the message takes effect' });
  await late.deliver();
  // The next owner would run it again.
  expect(await fixture.value('select count(*)::int from waybill.parked_message')).toBe(0);
});

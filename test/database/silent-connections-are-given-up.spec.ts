import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { resolveSubscription } from '@waybill/consumer';
import { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Waybill, WaybillHealthIndicator } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { runnerOn } from '../support/places.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';

let fixture: Fixture;
const proxies: TcpProxy[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 4 } });
});
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.close();
  await fixture.close();
});

async function proxyFor(connectionString: string): Promise<TcpProxy> {
  const proxy = await TcpProxy.start(connectionString);
  proxies.push(proxy);
  return proxy;
}

const effects = async (): Promise<number[]> =>
  (await fixture.database.pool.query<{ n: number }>('select n from effect order by n')).rows.map(
    ({ n }) => n,
  );

describe('a whole service, when every connection goes silent', () => {
  let waybill: Waybill;
  const silence = (): void => proxies.forEach((proxy) => proxy.silence());
  const heal = (): void => proxies.forEach((proxy) => proxy.heal());
  beforeEach(async () => {
    const { moduleOptions } = fixture;
    const proxy = await proxyFor(fixture.url);
    const bus = moduleOptions.bus && (await proxyFor(fixture.busUrl));
    waybill = new Waybill('default', {
      ...moduleOptions,
      database: { connectionString: proxy.url, queryTimeoutMs: 1_500 },
      ...(bus && { bus: { connectionString: bus.url, queryTimeoutMs: 1_500 } }),
      group: 'shop',
      consumer: { leaseMs: 20_000, heartbeatMs: 500, drainMs: 1_000 },
      handlers: { maxProcessingMs: 3_000 },
    });
    await waybill.consume({
      subscriptions: [
        resolveSubscription(
          'orders',
          ({ transaction, payload }) =>
            (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [
              (payload as { n: number }).n,
            ]),
          { maxProcessingMs: 3_000 },
        ),
      ],
    });
    for (const n of upTo(20)) await fixture.publish(n);
    await waitUntil(async () => (await effects()).length === 20, { describe: 'the service works' });
  });
  afterEach(() => waybill.stop());

  test('continues on new ones: relay, consumer and timers', async () => {
    for (let round = 1; round <= 3; round += 1) {
      silence();
      heal();
      for (const n of upTo(20)) await fixture.publish(round * 20 + n);
      await waitUntil(async () => (await effects()).length === (round + 1) * 20, {
        describe: () => `the messages of round ${round} take effect`,
        timeoutMs: 30_000,
      });
    }
    expect(await effects()).toEqual(upTo(80));
  });

  test("reports it in its health, and stops within the handlers' grace period and a few seconds", async () => {
    silence();
    await fixture.publish(99);
    const health = new WaybillHealthIndicator(waybill);
    expect((await health.isHealthy())['waybill']).toMatchObject({ status: 'down' });
    let isStopped = false;
    const stopping = waybill.stop().then(() => (isStopped = true));
    await waitUntil(() => isStopped, { describe: 'it stops', timeoutMs: 1_000 + 9_000 });
    await stopping;
    expect(await effects()).toEqual(upTo(20));
  });
});

test('a listener whose connection goes silent reconnects', async () => {
  const proxy = await proxyFor(fixture.busDirectUrl);
  const database = new PgDatabase({ connectionString: proxy.url });
  const { signals } = new PostgresLogEngine(database, { proveMs: 50 });
  const heard: string[] = [];
  signals.notes.onNote((note) => heard.push(note));
  signals.start();
  try {
    await waitUntil(() => signals.listening, { describe: 'it listens' });
    proxy.silence();
    proxy.heal();
    const { signals: other } = new PostgresLogEngine(fixture.bus);
    other.start();
    await waitUntil(
      () => {
        other.notes.send('hello');
        return heard.includes('hello');
      },
      { describe: 'a note of another process arrives', timeoutMs: 30_000 },
    );
    await other.stop();
  } finally {
    await signals.stop();
    await database.close();
  }
});

test('a transaction whose statement gets no response ends, and the pool is whole again', async () => {
  const proxy = await proxyFor(fixture.url);
  const database = new PgDatabase({ connectionString: proxy.url, connectionsMax: 2, queryTimeoutMs: 300 });
  try {
    await database.pool.query('select 1');
    proxy.silence();
    await expect(database.runTogether([])).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    proxy.heal();
    await runnerOn(database).run({
      timeoutMs: 60_000,
      work: ({ handle }) => handle.query('insert into effect (n) values (1)'),
    });
    expect(await effects()).toEqual([1]);
  } finally {
    await database.close();
  }
});

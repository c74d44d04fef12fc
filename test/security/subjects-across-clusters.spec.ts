import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { INestMicroservice } from '@nestjs/common';
import { DeadLetters, Erasure, Waybill } from '@waybill/nestjs';
import {
  type PostgresServer,
  startPostgres,
  type TestDatabase,
  testServerUrl,
  waitUntil,
} from '@waybill/testing';
import pg from 'pg';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { migratedDatabase } from '../support/migrated-database.js';
import { cipherOf, Handlers, seen, startShop } from '../support/secret-shop.js';

const ANN = 'customer-1';
const BOB = 'customer-2';
const ASKED = { by: 'ann', reason: 'she asked for it' };

/** The cluster of the bus; the services' databases are in that of the run. */
let server: PostgresServer;
let proxy: TcpProxy;
let maker: TestDatabase;
let taker: TestDatabase;
let bus: TestDatabase;
let making: INestMicroservice;
let taking: INestMicroservice;

beforeEach(async () => {
  server = await startPostgres();
  bus = await migratedDatabase('bus', server.connectionString, 'bus');
  [maker, taker] = [
    await migratedDatabase('maker', testServerUrl(), 'service'),
    await migratedDatabase('taker', testServerUrl(), 'service'),
  ];
  proxy = await TcpProxy.start(bus.connectionString);
  seen.length = 0;
  making = await start(maker, 'maker', proxy.url, []);
  taking = await start(taker, 'taker', bus.connectionString, [Handlers]);
});
afterEach(async () => {
  proxy.letPass();
  await Promise.all([making.close(), taking.close()]);
  await proxy.close();
  for (const database of [maker, taker, bus]) await database.drop();
  await server.stop();
});

function start(
  { connectionString: url }: TestDatabase,
  group: string,
  busUrl: string,
  controllers: (typeof Handlers)[],
): Promise<INestMicroservice> {
  const options = { bus: { connectionString: busUrl }, group, cipher: cipherOf('k1') };
  return startShop({ url }, options, { controllers, providers: [] });
}

const publish = (topic: string, text: string, subject: string): Promise<unknown> =>
  making.get(Waybill).transaction(async (_, outbox) => outbox.publish({ topic, payload: { text }, subject }));

async function count({ connectionString }: TestDatabase, from: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ n: number }>(`select count(*)::int as n from ${from}`);
    return rows[0]?.n ?? -1;
  } finally {
    await client.end();
  }
}

const until = (claim: () => Promise<boolean> | boolean, what: string): Promise<void> =>
  waitUntil(claim, { describe: () => `${what}; seen: ${seen.map(({ text }) => text).join()}` });

/** Keys in the databases of both services and of the bus. */
const keys = (): Promise<number[]> =>
  Promise.all([
    count(maker, 'waybill.subject_key'),
    count(taker, 'waybill.subject_key'),
    count(bus, 'waybill_bus.subject_key'),
  ]);

test('an erasure in one service makes all unreadable in another, with the bus in another cluster between them', async () => {
  await publish('bad', 'bad of ann', ANN);
  await publish('bad', 'bad of bob', BOB);
  const letters = taking.get(DeadLetters);
  await until(
    async () => (await letters.count()) === 2 && seen.length === 2,
    'all are read in the other service',
  );
  expect(await keys()).toEqual([2, 0, 2]);
  const shown = async (): Promise<string[]> => {
    const all = await letters.list();
    const those = await Promise.all(all.map(({ id }) => letters.show(id)));
    return those.map(({ payload, unreadable }) => unreadable ?? String(payload)).toSorted();
  };
  expect(await shown()).toEqual(['{"text":"bad of ann"}', '{"text":"bad of bob"}']);

  const { done } = await making.get(Erasure).erase({ subject: ANN }, ASKED);
  expect(done).toEqual([
    { where: 'keys of the subject', rows: 1 },
    { where: 'keys of the subject in the log', rows: 1 },
  ]);
  expect(await keys()).toEqual([1, 0, 1]);
  expect(await shown()).toEqual([expect.stringContaining('SUBJECT_ERASED'), '{"text":"bad of bob"}']);
  await expect(publish('bad', 'more', ANN)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
});

test('an erasure that does not reach the cluster of the bus leaves all as it was, and is finished when it does', async () => {
  await publish('bad', 'of ann', ANN);
  await until(() => seen.length === 1, 'it is read in the other service');
  const erasure = making.get(Erasure);
  proxy.cutAfter(() => 0);
  await expect(erasure.erase({ subject: ANN }, ASKED)).rejects.toThrow();
  expect(await keys()).toEqual([1, 0, 1]);
  await publish('bad', 'more of ann', ANN);
  proxy.letPass();
  await until(() => seen.length === 2, 'the second one is read as well');
  await erasure.erase({ subject: ANN }, ASKED);
  expect(await keys()).toEqual([0, 0, 0]);
});

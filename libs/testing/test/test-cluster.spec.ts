import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { TestCluster, waitUntil } from '../src/index.js';
import { queryValue } from './support/query.js';

let cluster: TestCluster | undefined;
afterEach(() => cluster?.stop());

const COUNT = 'select count(*) from kept';
const insert = (url: string, n: number) => queryValue(url, `insert into kept values (${n}) returning n`);
const commitOn = async (client: pg.Client, n: number): Promise<void> => {
  await client.query('insert into kept values ($1)', [n]);
};

test('asynchronous: what the replica had not received is lost by its promotion, and nothing else', async () => {
  cluster = await TestCluster.start();
  const { primary, replica } = cluster;
  await queryValue(primary.connectionString, 'create table kept (n int primary key)');
  for (let n = 1; n <= 5; n += 1) await insert(primary.connectionString, n);
  await cluster.untilCaughtUp();
  expect(await queryValue(replica.connectionString, COUNT)).toBe('5');
  await expect(insert(replica.connectionString, 6)).rejects.toThrow(/read-only/);

  await cluster.pauseReplication();
  for (let n = 6; n <= 8; n += 1) await insert(primary.connectionString, n);
  await cluster.resumeReplication();
  await cluster.untilCaughtUp();
  expect(await queryValue(replica.connectionString, COUNT)).toBe('8');

  await cluster.pauseReplication();
  for (let n = 9; n <= 12; n += 1) await insert(primary.connectionString, n);
  const { url } = cluster;
  await cluster.stopPrimary('immediate');
  await cluster.promote();
  expect(cluster.primary).toBe(replica);
  expect(cluster.url).toBe(url);
  expect(await queryValue(cluster.primary.connectionString, COUNT)).toBe('8');
  await insert(cluster.primary.connectionString, 100);
});

test('synchronous: no answered commit is lost, and none is answered while the replica receives nothing', async () => {
  cluster = await TestCluster.start({ synchronous: true });
  const { primary } = cluster;
  await queryValue(primary.connectionString, 'create table kept (n int primary key)');
  const client = new pg.Client(primary.connectionString);
  client.on('error', () => undefined);
  await client.connect();
  const answered: number[] = [];
  const writing = (async () => {
    for (let n = 1; ; n += 1) {
      await commitOn(client, n);
      answered.push(n);
    }
  })().catch(() => undefined);
  await waitUntil(() => answered.length > 50, { describe: 'some commits were answered' });
  await cluster.pauseReplication();
  await waitUntil(
    async () =>
      (await queryValue(
        primary.connectionString,
        `select count(*) from pg_stat_activity where wait_event = 'SyncRep'`,
      )) === '1',
    { describe: 'a commit waits for the replica' },
  );
  const before = answered.length;
  await cluster.stopPrimary('immediate');
  await writing;
  expect(answered.length).toBe(before);
  await cluster.promote();
  const kept = await queryValue(cluster.primary.connectionString, 'select max(n) from kept');
  expect(Number(kept)).toBeGreaterThanOrEqual(answered.length);
  expect(await queryValue(cluster.primary.connectionString, COUNT)).toBe(kept);
});

test('a failed primary comes back as the replica of its successor, and both leave no data', async () => {
  cluster = await TestCluster.start({ synchronous: true });
  const [first, second] = [cluster.primary, cluster.replica];
  await queryValue(first.connectionString, 'create table kept (n int primary key)');
  await cluster.stopPrimary('immediate');
  await cluster.promote();
  await insert(second.connectionString, 1);
  await cluster.rebuildReplica();
  await insert(second.connectionString, 2);
  await cluster.untilCaughtUp();
  expect(await queryValue(first.connectionString, COUNT)).toBe('2');
  await cluster.stopPrimary('fast');
  await cluster.promote();
  expect(cluster.primary).toBe(first);
  expect(await queryValue(first.connectionString, COUNT)).toBe('2');
  const root = dirname(first.dataDir);
  await cluster.stop();
  cluster = undefined;
  expect(existsSync(root)).toBe(false);
  expect([first.pid, second.pid]).toEqual([undefined, undefined]);
});

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { bindStatement, Bell, PgDatabase } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import { migrate } from '@waybill/schema';
import { TestCluster, waitUntil } from '@waybill/testing';
import pg from 'pg';

const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));
const run = promisify(execFile);

let cluster: TestCluster;
let database: PgDatabase;
let ends: (() => Promise<unknown>)[];
beforeEach(async () => {
  cluster = await TestCluster.start({ synchronous: true });
  await migrate({ connectionString: cluster.url });
  database = new PgDatabase({
    connectionString: cluster.url,
    connectTimeoutMs: 4_000,
    queryTimeoutMs: 4_000,
  });
  ends = [];
});
afterEach(async () => {
  for (const end of ends) await end();
  await database.close();
  await cluster.stop();
});

async function publish(outbox: Outbox, n: number): Promise<void> {
  const client = await database.pool.connect();
  let failed = true;
  try {
    await client.query('begin');
    await outbox.publish(client, { topic: 'orders', key: 'k', payload: { n } });
    await client.query('commit');
    failed = false;
  } finally {
    client.release(failed);
  }
}

test('pool, relay, signals and command go to the promoted server by themselves, and no answered message is lost', async () => {
  const log = new PostgresLogEngine(database);
  const { topics, signals } = log;
  await topics.create('orders', {});
  const relay = new Relay({ database, log, bell: new Bell() }, {});
  ends.push(
    () => relay.service.stop(),
    () => signals.stop(),
  );
  signals.start();
  relay.service.start();
  const outbox = new Outbox();
  let answered = 0;
  const publishUntil = async (count: number): Promise<void> => {
    while (answered < count) {
      await publish(outbox, answered);
      answered += 1;
    }
  };
  await publishUntil(20);
  await waitUntil(() => signals.listening, { describe: 'it listens' });
  const idle = await Promise.all(Array.from({ length: 5 }, () => database.pool.connect()));
  for (const client of idle) client.release();

  const { primary } = cluster;
  await cluster.stopPrimary('immediate');
  await expect(publish(outbox, -1)).rejects.toThrow();
  await waitUntil(() => !signals.listening, { describe: 'the listener has noticed' });
  await cluster.promote();
  expect(cluster.primary).not.toBe(primary);

  await waitUntil(
    () =>
      publishUntil(40).then(
        () => true,
        () => false,
      ),
    { describe: 'messages are published to the promoted server', timeoutMs: 30_000 },
  );
  await waitUntil(() => signals.listening, { describe: 'it listens there', timeoutMs: 30_000 });
  await waitUntil(
    async () => {
      const { partitionIds } = await topics.get('orders');
      const ends = await log.offsets(partitionIds);
      return [...ends.values()].reduce((sum, { endOffset }) => sum + endOffset, 0) >= answered;
    },
    { describe: 'the relay has moved them all', timeoutMs: 30_000 },
  );
  const { stdout } = await run(process.execPath, [COMMAND, 'migrate', '--status'], {
    env: { ...process.env, DATABASE_URL: cluster.url },
  });
  expect(stdout).toMatch(/0001-/);
});

const insert = statement<[], never>('insert', 'insert into kept values (1)');
const writes: [how: string, write: () => Promise<unknown>][] = [
  ['in one round trip', () => database.runTogether([bindStatement(insert)])],
  ['in a transaction', () => database.transaction((connection) => connection.run(insert))],
];
test.each(writes)(
  'a server that takes no writes any more is left for the one that does (%s)',
  async (_how, write) => {
    await database.pool.query('create table kept (n int)');
    await write();
    const [old, promoted] = [cluster.primary.port, cluster.replica.port];
    await cluster.promote();
    const client = new pg.Client(cluster.replica.connectionString);
    await client.connect();
    await client.query('alter system set default_transaction_read_only to on');
    await client.query('select pg_reload_conf()');
    await waitUntil(
      async () => {
        const { rows } = await client.query<{ on: string }>('show default_transaction_read_only');
        return Object.values(rows[0] ?? {})[0] === 'on';
      },
      { describe: 'the old primary is read-only' },
    );
    await client.end();
    await waitUntil(
      () =>
        write().then(
          () => true,
          () => false,
        ),
      { describe: 'it writes again' },
    );
    const { rows } = await database.pool.query<{ port: number }>('select inet_server_port() as port');
    expect(rows).toEqual([{ port: promoted }]);
    expect(old).not.toBe(promoted);
  },
);

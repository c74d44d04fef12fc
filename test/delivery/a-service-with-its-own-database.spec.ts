import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { type Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import { PgDatabase, type TransactionRunner } from '@waybill/kernel';
import { groupLag, PostgresLogEngine } from '@waybill/log/postgres';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';
import { startProgram, stopProgram } from '../support/programs.js';
import { consumerOf, runnerOn } from '../support/places.js';

let bus: TestBus;
let publisher: OwnService;
let service: OwnService;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  bus = await TestBus.create({ orders: { partitions: 2 } });
  publisher = await OwnService.create(bus);
  service = await OwnService.create(bus);
  await service.database.pool.query(
    `create table effect (id bigint generated always as identity, consumer text, topic text, partition int, log_offset bigint,
                          key text, message_id text, n int, attempt int, pid int)`,
  );
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  await Promise.all([publisher.close(), service.close()]);
  await bus.close();
});

async function publish(numbers: readonly number[], keys = 30): Promise<void> {
  await publisher.transaction(async (client) => {
    for (const n of numbers)
      await publisher.outbox.publish(client, { topic: 'orders', key: `key-${n % keys}`, payload: { n } });
  });
  await drain(publisher.relay());
}

const effects = async (): Promise<number[]> =>
  (await service.database.pool.query<{ n: number }>('select n from effect order by n')).rows.map(
    ({ n }) => n,
  );

const storedPositions = (): Promise<number> =>
  service.value(
    `select coalesce(sum(p.position), 0)::int from (select distinct on (partition_id) position from waybill.consumer_position
      order by partition_id, owner_epoch desc, position desc, id desc) p`,
  );

/** What a consumer is made of, where a test differs from the ordinary. */
interface Parts {
  readonly of?: OwnService;
  /** How it reaches the service's database. */
  readonly database?: PgDatabase;
  /** The database that handlers write to. */
  readonly handlers?: PgDatabase;
  readonly busDatabase?: PgDatabase;
  readonly handler?: Handler;
}

function consumerWith(parts: Parts = {}): Consumer {
  const { of = service, database = of.database, handlers = database, busDatabase, handler } = parts;
  const write: Handler = async ({ transaction, payload }) => {
    const { n } = payload as { n: number };
    await (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [n]);
  };
  const consumer = consumerOf(
    {
      group: 'test',
      subscriptions: [
        resolveSubscription('orders', handler ?? write, { concurrency: 'partition', transactionBatch: 1 }),
      ],
      database,
      transactions: runnerOn(handlers) as TransactionRunner,
      log: busDatabase === undefined ? of.log : new PostgresLogEngine(busDatabase, { service: database }),
    },
    { leaseMs: 1_500, heartbeatMs: 200, pollMaxMs: 100 },
  );
  ends.push(() => consumer.stop());
  return consumer;
}

describe.each(['key', 'partition'])('in order %s', (concurrency) => {
  test('members are killed at any moment and others take over: each message takes effect once', async () => {
    const settings = {
      url: service.created.connectionString,
      busUrl: bus.created.connectionString,
      subscription: { concurrency },
      options: { leaseMs: 900, heartbeatMs: 200 },
    };
    await publish(upTo(900));
    for (const part of [150, 400]) {
      const [victim, other] = await Promise.all([
        startProgram('consumer', settings),
        startProgram('consumer', settings),
      ]);
      ends.push(() => stopProgram(other));
      await waitUntil(async () => (await effects()).length > part, {
        describe: 'it works',
        intervalMs: 1,
        timeoutMs: 30_000,
      });
      victim.kill('SIGKILL');
      await victim.exited;
    }
    await waitUntil(async () => (await storedPositions()) === 900, {
      describe: 'all is delivered',
      timeoutMs: 60_000,
    });
    expect(await effects()).toEqual(upTo(900));
  });
});

test('handlers that write to another database than that of their progress are refused', async () => {
  const consumer = consumerWith({ handlers: publisher.database });
  await expect(consumer.start()).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
});

test('a member of another service is kept out of the group', async () => {
  await consumerWith().start();
  const stranger = consumerWith({ of: publisher });
  await expect(stranger.start()).rejects.toMatchObject({ code: 'GROUP_SERVICE_MISMATCH' });
});

test('a database that is older than the last take is noticed: nothing is handled in it', async () => {
  await publish([1]);
  const first = consumerWith();
  await first.start();
  await waitUntil(async () => (await effects()).length === 1, { describe: 'message 1 is handled' });
  await first.stop();
  // As a backup from before that has it.
  await service.database.pool.query(
    'delete from waybill.progress_owner; truncate waybill.consumer_position, waybill.delivery_mark, effect',
  );
  const second = consumerWith();
  await second.start();
  await waitUntil(() => second.status.failures.length === 2, { describe: 'both partitions fail' });
  for (const { reason } of second.status.failures) expect(reason).toContain('ProgressWentBackError');
  expect(await effects()).toEqual([]);
  // An attempt raises nothing: otherwise a later one would find an epoch that is high enough.
  const { rows } = await service.database.pool.query('select from waybill.progress_owner');
  expect(rows).toEqual([]);

  expect(await adopt()).toMatch(/orders +0 +1 +0\norders +1 +1 +0\n.*use --yes\n$/);
  expect(await effects()).toEqual([]);
  expect(await adopt('--yes')).toContain('group test goes on with the progress in this database\n');
  await waitUntil(async () => (await effects()).length === 1, { describe: 'message 1 comes again' });
  await waitUntil(() => second.status.failures.length === 0, { describe: 'neither partition fails' });
  expect(await adopt()).toContain('there is nothing to adopt\n');
});

async function adopt(...words: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  const urls = [
    '--database-url',
    service.created.connectionString,
    '--bus-url',
    bus.created.connectionString,
  ];
  await program.parseAsync([...urls, 'group', 'adopt', 'test', ...words], { from: 'user' });
  return printed;
}

test('the bus shows the lag, by the positions that were reported to it', async () => {
  await publish(upTo(20));
  const lag = async (): Promise<number> =>
    (await groupLag(bus.database.session, 'test')).reduce((sum, each) => sum + each.lag, 0);
  const consumer = consumerWith();
  await consumer.start();
  await waitUntil(async () => (await effects()).length === 20, { describe: 'all are handled' });
  await waitUntil(async () => (await lag()) === 0, { describe: 'no lag is shown' });
  await consumer.stop();
  await publish(upTo(3));
  expect(await lag()).toBe(3);
});

test('a member that does not reach the bus finishes what runs after its lease, and begins nothing', async () => {
  await publish(upTo(10), 1);
  const proxy = await TcpProxy.start(bus.created.connectionString);
  const far = new PgDatabase({ connectionString: proxy.url, connectionsMax: 20 });
  ends.push(async () => {
    proxy.heal();
    proxy.cut();
    await far.close();
    await proxy.close();
  });
  const begun: number[] = [];
  let finish = (): void => {};
  const held = new Promise<void>((resolve) => (finish = resolve));
  const cutOff = consumerWith({
    busDatabase: far,
    handler: async ({ transaction, payload }) => {
      const { n } = payload as { n: number };
      begun.push(n);
      await held;
      await (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [n]);
    },
  });
  await cutOff.start();
  await waitUntil(() => begun.length === 1, { describe: 'the first is being handled' });
  proxy.silence();
  await waitUntil(() => cutOff.status.leaseLapsed, { describe: 'its lease is over' });
  finish();
  await waitUntil(async () => (await effects()).length === 1, { describe: 'the first takes effect' });
  await consumerWith().start();
  await waitUntil(async () => (await effects()).length >= 10, {
    describe: 'another member handles the rest',
  });
  expect(begun).toEqual([0]);
  expect(await effects()).toEqual(upTo(10));
});

test.each(['goes silent', 'is gone'] as const)(
  "a member whose way to the service's database %s leaves its partitions to others, and gets some back when it is there again",
  async (how) => {
    const proxy = await TcpProxy.start(service.created.connectionString);
    const database = new PgDatabase({
      connectionString: proxy.url,
      queryTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
    });
    ends.push(async () => {
      await database.close();
      await proxy.close();
    });
    const cutOff = consumerWith({ database, busDatabase: bus.database });
    await publish(upTo(10));
    await cutOff.start();
    await waitUntil(async () => (await effects()).length === 10, { describe: 'it works' });
    if (how === 'goes silent') proxy.silence();
    else proxy.cutAfter(() => 0);
    // It holds both partitions, and has nothing to do: only its questions tell.
    const other = consumerWith();
    await other.start();
    await publish([10, 11, 12, 13]);
    await waitUntil(async () => (await effects()).length === 14, {
      describe: 'the other member handles all',
    });
    expect(cutOff.status.partitions).toBe(0);
    const members = 'select count(*)::int as n from waybill_bus.group_member';
    expect((await bus.database.pool.query<{ n: number }>(members)).rows).toEqual([{ n: 2 }]);
    proxy.heal();
    proxy.letPass();
    await waitUntil(() => cutOff.status.partitions === 1 && other.status.partitions === 1, {
      describe: 'they share the partitions',
    });
    await publish(upTo(20).slice(14));
    await waitUntil(async () => (await effects()).length === 20, { describe: 'both work' });
    expect(await effects()).toEqual(upTo(20));
  },
);

test('a position is read after the take, which waits for a delivery that is being committed', async () => {
  await publish([0], 1);
  const before = consumerWith();
  await before.start();
  await waitUntil(async () => (await storedPositions()) === 1, { describe: 'message 0 is handled' });
  await before.stop();
  await publish([1], 1);
  // The owner of before delivers message 1 in a last transaction: its fence holds, and its COMMIT has not been sent.
  const last = await service.database.pool.connect();
  await last.query('begin');
  await last.query('insert into effect (n) values (1)');
  await last.query(
    `select waybill.advance(p.group_id, p.partition_id, o.owner_epoch, 2, 2, p.log_epoch, null, waybill.incarnation())
       from waybill.consumer_position p join waybill.progress_owner o using (group_id, partition_id) where p.position = 1`,
  );
  const next = consumerWith();
  await next.start();
  const takers = `select count(*)::int from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and query like '%progress_take%'`;
  await waitUntil(async () => (await service.value<number>(takers)) > 0, { describe: 'the next one waits' });
  await last.query('commit');
  last.release();
  await publish([2], 1);
  await waitUntil(async () => (await effects()).includes(2), { describe: 'message 2 is handled' });
  expect(await effects()).toEqual([0, 1, 2]);
});

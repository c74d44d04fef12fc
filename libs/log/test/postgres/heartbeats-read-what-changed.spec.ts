import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { DatabaseUnavailableError, PgDatabase } from '@waybill/kernel';
import type { Grant, Membership } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';

const TOPIC = 'orders.placed';
let created: TestDatabase;
let databases: PgDatabase[];
let members: Member[];

/** A member whose heartbeats are only those that the test asks for. */
interface Member extends Membership {
  runOnce(): Promise<unknown>;
}

beforeEach(async () => {
  created = await testDatabase('heartbeats');
  await migrate({ connectionString: created.connectionString });
  databases = [];
  members = [];
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const member of members) await member.stop();
  for (const database of databases) await database.close();
  await created.drop();
});

function open(): PgDatabase {
  const database = new PgDatabase({ connectionString: created.connectionString });
  databases.push(database);
  return database;
}

/** Signals are off: what others do is seen by heartbeats alone. */
async function join(database: PgDatabase): Promise<Member> {
  const log = new PostgresLogEngine(database);
  await log.topics.create(TOPIC, { partitions: 4 });
  const member = log.join({
    group: 'stock',
    serviceId: () => '01a22da7-bbc0-7774-b1b3-f49029b8b7c4',
    topics: () => [TOPIC],
    leaseMs: 600_000,
    heartbeatMs: 200_000,
    listener: { onAssigned: ignore, onRevoked: ignore, onLost: ignore },
  }) as Member;
  members.push(member);
  await member.start();
  return member;
}

const ignore = (_grant: Grant): Promise<void> => Promise.resolve();

/** The statements of one heartbeat. */
async function heartbeatOf(member: Member, database: PgDatabase): Promise<string[]> {
  const run = jest.spyOn(database.session, 'run');
  await member.runOnce();
  const names = run.mock.calls.map(([statement]) => statement.name);
  run.mockRestore();
  return names;
}

async function settles(member: Member, database: PgDatabase): Promise<void> {
  await waitUntil(async () => (await heartbeatOf(member, database)).length === 1, {
    describe: 'its heartbeat is one statement',
  });
}

test('a heartbeat in a group that has not changed is one statement, and a change is followed', async () => {
  const database = open();
  const one = await join(database);
  await settles(one, database);
  expect(one.owned).toHaveLength(4);
  const second = open();
  const other = await join(second);
  await waitUntil(
    async () => {
      await one.runOnce();
      await other.runOnce();
      return one.owned.length === 2 && other.owned.length === 2;
    },
    { describe: 'each has half' },
  );
  await settles(one, database);
  await settles(other, second);
});

test('a partition whose release failed is released by a later heartbeat', async () => {
  const database = open();
  const one = await join(database);
  await settles(one, database);
  const run = database.session.run.bind(database.session);
  const failing = jest.spyOn(database.session, 'run');
  let failures = 0;
  failing.mockImplementation((statement, ...params) => {
    if (!statement.name.startsWith('release-partition')) return run(statement, ...params);
    failures += 1;
    return Promise.reject(new DatabaseUnavailableError('not now'));
  });
  const other = await join(open());
  await waitUntil(
    async () => {
      await other.runOnce();
      await one.runOnce().catch(() => {});
      return failures > 1;
    },
    { describe: 'releases have failed' },
  );
  failing.mockRestore();
  await waitUntil(
    async () => {
      await one.runOnce();
      await other.runOnce();
      return other.owned.length === 2;
    },
    { describe: 'the other has its half' },
  );
});

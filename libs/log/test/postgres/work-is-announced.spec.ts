import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Clock, PgDatabase, systemClock } from '@waybill/kernel';
import { WorkNotes } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';

/** A bus, and another service's database. */
let bus: TestDatabase;
let service: TestDatabase;
let databases: PgDatabase[];
let logs: PostgresLogEngine[];

beforeEach(async () => {
  bus = await testDatabase('work_bus');
  service = await testDatabase('work_service');
  await migrate({ connectionString: bus.connectionString });
  databases = [];
  logs = [];
});
afterEach(async () => {
  for (const log of logs) await log.signals.stop();
  for (const database of databases) await database.close();
  await bus.drop();
  await service.drop();
});

function open({ connectionString }: TestDatabase): PgDatabase {
  const database = new PgDatabase({ connectionString });
  databases.push(database);
  return database;
}

/** A process of a service that listens on the bus. */
async function listening(of: TestDatabase, clock?: Clock): Promise<WorkNotes> {
  const log = new PostgresLogEngine(open(bus));
  logs.push(log);
  log.signals.start();
  await waitUntil(() => log.signals.listening, { describe: 'it listens' });
  return new WorkNotes(open(of), log.signals.notes, clock === undefined ? {} : { clock });
}

test('work is announced to the other processes of the service, and not again for half a minute', async () => {
  let now = 0;
  const publisher = await listening(bus, { ...systemClock, monotonic: () => now });
  const relay = await listening(bus);
  const stranger = await listening(service);
  const heard = { relay: 0, stranger: 0 };
  relay.onWork(() => (heard.relay += 1));
  stranger.onWork(() => (heard.stranger += 1));
  publisher.announce();
  publisher.announce();
  await waitUntil(() => heard.relay === 1, { describe: 'the relay hears' });
  now += 29_999;
  publisher.announce();
  now += 1;
  publisher.announce();
  await waitUntil(() => heard.relay >= 2, { describe: 'the relay hears again' });
  // Notes arrive in order: what was announced before has arrived everywhere.
  const marks: string[] = [];
  for (const log of logs) log.signals.notes.onNote((note) => marks.push(note));
  logs[1]?.signals.notes.send('mark');
  await waitUntil(() => marks.filter((note) => note === 'mark').length === 3, {
    describe: 'all hear a mark',
  });
  expect(heard).toEqual({ relay: 2, stranger: 0 });
});

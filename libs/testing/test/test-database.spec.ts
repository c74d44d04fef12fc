import { afterEach, expect, test } from '@jest/globals';
import {
  createDatabase,
  testDatabase,
  testServerUrl,
  TEST_SERVER_VARIABLE,
  type TestDatabase,
} from '../src/index.js';
import { busySession, queryValue } from './support/query.js';

const databases: TestDatabase[] = [];

afterEach(async () => {
  await Promise.all(databases.splice(0).map((database) => database.drop()));
});

test('every database is new and empty, also when many are created concurrently', async () => {
  const created = await Promise.all([1, 2, 3, 4].map(() => testDatabase('many')));
  databases.push(...created);
  expect(new Set(created.map(({ name }) => name)).size).toBe(4);
  for (const { name, connectionString } of created) {
    expect(name).toMatch(/^many_[0-9a-f]{12}$/);
    expect(await queryValue(connectionString, 'select current_database()')).toBe(name);
    await queryValue(connectionString, 'create table same_name (n int)');
  }
});

test('drop ends remaining sessions, and may be called twice', async () => {
  const database = await testDatabase();
  const busy = await busySession(database.connectionString);
  await database.drop();
  await database.drop();
  expect(await busy.ended).toMatch(/terminat/i);
  await expect(queryValue(database.connectionString, 'select 1')).rejects.toThrow(/does not exist/);
});

test.each(['', 'Upper', '1st', 'a-b', 'a"b', 'x'.repeat(42)])('the prefix %j is refused', async (prefix) => {
  const server = { connectionString: testServerUrl() };
  await expect(createDatabase(server, prefix)).rejects.toMatchObject({ code: 'DATABASE_NAME_INVALID' });
});

test('outside a run of Jest the missing server is named', async () => {
  const url = process.env[TEST_SERVER_VARIABLE];
  delete process.env[TEST_SERVER_VARIABLE];
  try {
    await expect(testDatabase()).rejects.toMatchObject({ code: 'TEST_SERVER_MISSING' });
  } finally {
    process.env[TEST_SERVER_VARIABLE] = url;
  }
});

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { startPostgres, type EmbeddedPostgres } from '../src/index.js';
import { unprivilegedUser } from '../src/postgres/unprivileged-user.js';
import { queryValue } from './support/query.js';

let folder: string;
let dataDir: string;
const servers: EmbeddedPostgres[] = [];

async function start(port = 0): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ dataDir, port });
  servers.push(server);
  return server;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill test lasting '));
  dataDir = join(folder, 'data of a server');
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('two servers that create the same data directory at the same time: one gets it, the other gets an error', async () => {
  const results = await Promise.allSettled([start(), start()]);
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(results.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: { code: 'DATA_DIRECTORY_IN_USE' },
  });
});

test('data, password and port are kept', async () => {
  const first = await start();
  const { connectionString } = first;
  await queryValue(connectionString, 'create table kept as select 7 as n');
  await first.stop();

  const second = await start();
  expect(second.connectionString).toBe(connectionString);
  expect(await queryValue(connectionString, 'select n from kept')).toBe('7');
  await second.stop();
  await second.start();
  expect(await queryValue(connectionString, 'select n from kept')).toBe('7');
});

test('a requested port is used if it is free', async () => {
  const first = await start();
  const other = first.port + 1;
  await first.stop();
  expect((await start(other)).port).toBe(other);
});

test('a pid file whose number now belongs to another program does not block', async () => {
  const first = await start();
  const pidFile = join(dataDir, 'data', 'postmaster.pid');
  const content = await readFile(pidFile, 'utf8');
  await first.stop();
  // Of the user as which PostgreSQL runs: it recognises only its own user's processes as a running server.
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], {
    cwd: '/',
    stdio: 'ignore',
    ...unprivilegedUser(),
  });
  try {
    await writeFile(pidFile, content.replace(/^\d+/, String(stranger.pid)));
    const second = await start();
    expect(await queryValue(second.connectionString, 'select 1')).toBe('1');
  } finally {
    stranger.kill('SIGKILL');
  }
});

test('a directory in use is refused, and its server is not harmed', async () => {
  const first = await start();
  await expect(start()).rejects.toMatchObject({ code: 'DATA_DIRECTORY_IN_USE' });
  expect(await queryValue(first.connectionString, 'select 1')).toBe('1');
});

test('a directory of another format is refused', async () => {
  await rm(join(dataDir, 'data', 'waybill.json'));
  await expect(start()).rejects.toMatchObject({ code: 'DATA_DIRECTORY_UNUSABLE' });
});

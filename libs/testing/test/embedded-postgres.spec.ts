import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startPostgres, type EmbeddedPostgres } from '../src/index.js';
import { isRunning } from './support/processes.js';
import { busySession, queryValue } from './support/query.js';

describe('a server', () => {
  let server: EmbeddedPostgres;

  beforeAll(async () => {
    server = await startPostgres();
    await queryValue(server.connectionString, 'create table kept as select 7 as n');
  });
  afterAll(() => server.stop());

  test('responds on loopback only, and to its password only', async () => {
    expect(await queryValue(server.connectionString, 'select current_database()')).toBe('waybill');
    expect(await queryValue(server.connectionString, 'select current_user')).toBe('waybill');
    expect(await queryValue(server.connectionString, 'show listen_addresses')).toBe('127.0.0.1');
    expect(await queryValue(server.connectionString, 'show unix_socket_directories')).toBe('');
    expect(await queryValue(server.connectionString, 'show fsync')).toBe('on');
    const url = new URL(server.connectionString);
    url.password = 'wrong';
    await expect(queryValue(url.toString(), 'select 1')).rejects.toThrow(/password authentication failed/);
  });

  test.each(['fast', 'immediate'] as const)(
    'is restarted (%s) under the same connection string, with its data',
    async (mode) => {
      const { connectionString, pid } = server;
      const logged = (await readFile(server.logFile, 'utf8')).length;
      await server.restart(mode);
      expect(server.connectionString).toBe(connectionString);
      expect(server.pid).not.toBe(pid);
      expect(await queryValue(connectionString, 'select n from kept')).toBe('7');
      const log = (await readFile(server.logFile, 'utf8')).slice(logged);
      expect(log.includes('automatic recovery in progress')).toBe(mode === 'immediate');
    },
  );

  test('is down when killed, also with busy sessions, until it is started', async () => {
    const { connectionString } = server;
    const busy = await busySession(connectionString);
    await server.kill();
    expect(server.pid).toBeUndefined();
    await expect(queryValue(connectionString, 'select 1')).rejects.toThrow(/ECONNREFUSED|terminated/);
    await server.start();
    expect(await queryValue(connectionString, 'select n from kept')).toBe('7');
    expect(await busy.ended).toMatch(/terminat/i);
  });

  test('does one thing after the other when called concurrently', async () => {
    const starts = async (): Promise<number> =>
      (await readFile(server.logFile, 'utf8')).split('ready to accept connections').length;
    const before = await starts();
    await Promise.all([server.restart('immediate'), server.restart('fast'), server.kill(), server.start()]);
    expect((await starts()) - before).toBe(3);
    expect(await queryValue(server.connectionString, 'select n from kept')).toBe('7');
  });
});

test('two at the same time have separate ports and data, leave a taken port to its owner, and leave no data', async () => {
  const owner = createServer().listen(0, '127.0.0.1');
  await once(owner, 'listening');
  const address = owner.address();
  const taken = typeof address === 'object' && address !== null ? address.port : 0;
  const settings = { max_connections: '33', wal_level: 'logical' };
  const started = await Promise.all([
    startPostgres({ port: taken }),
    startPostgres({ settings, database: 'a "b" c' }),
  ]);
  const [first, second] = started;
  const pids = started.map(({ pid }) => Number(pid));
  try {
    expect(new Set([taken, first.port, second.port]).size).toBe(3);
    await queryValue(first.connectionString, 'create table only_here (n int)');
    await expect(queryValue(second.connectionString, 'select * from only_here')).rejects.toThrow(
      /does not exist/,
    );
    expect(await queryValue(second.connectionString, 'show max_connections')).toBe('33');
    expect(await queryValue(second.connectionString, 'show wal_level')).toBe('logical');
    expect(await queryValue(second.connectionString, 'select current_database()')).toBe('a "b" c');
  } finally {
    owner.close();
    await Promise.all(started.map((server) => server.stop()));
  }
  expect(pids.filter(isRunning)).toEqual([]);
  expect(started.filter(({ dataDir }) => existsSync(dataDir))).toEqual([]);

  await first.stop();
  await expect(first.start()).rejects.toMatchObject({ code: 'SERVER_STOPPED' });
});

test('a setting that would open the server to others is refused before anything is created', async () => {
  await expect(startPostgres({ settings: { listen_addresses: '*' } })).rejects.toMatchObject({
    code: 'SETTING_RESERVED',
  });
});

test('a wrong setting is reported with the text of the log', async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'plenty' } })).rejects.toMatchObject({
    code: 'SERVER_START_FAILED',
    message: expect.stringContaining('plenty'),
  });
});

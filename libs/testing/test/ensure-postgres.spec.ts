import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ensurePostgres, testServerUrl } from '../src/index.js';
import { choosePort } from '../src/process/choose-port.js';
import { queryValue } from './support/query.js';

let before: string | undefined;

beforeEach(() => {
  before = process.env['DATABASE_URL'];
});
afterEach(() => {
  if (before === undefined) delete process.env['DATABASE_URL'];
  else process.env['DATABASE_URL'] = before;
});

test('without DATABASE_URL a server is embedded', async () => {
  delete process.env['DATABASE_URL'];
  const server = await ensurePostgres();
  expect(server.external).toBe(false);
  expect(await queryValue(server.connectionString, 'select 1')).toBe('1');
  await server.stop();
});

test('the server of DATABASE_URL is used, and neither stopped, restarted nor killed', async () => {
  process.env['DATABASE_URL'] = testServerUrl();
  const server = await ensurePostgres();
  expect(server).toMatchObject({ external: true, pid: undefined, connectionString: testServerUrl() });
  expect(server.port).toBe(Number(new URL(testServerUrl()).port));
  await server.start();
  await server.stop();
  await expect(server.restart('fast')).rejects.toMatchObject({ code: 'SERVER_EXTERNAL' });
  await expect(server.kill()).rejects.toMatchObject({ code: 'SERVER_EXTERNAL' });
  expect(await queryValue(server.connectionString, 'select 1')).toBe('1');
});

test('a server that does not respond is named, its password is not', async () => {
  const port = await choosePort(0);
  process.env['DATABASE_URL'] = `postgresql://me:secret@127.0.0.1:${port}/shop`;
  const error: unknown = await ensurePostgres().catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
  expect(String(error)).toContain(`127.0.0.1:${port}`);
  expect(String(error)).toContain('ECONNREFUSED');
  expect(String(error)).not.toContain('secret');
});

test('a text that is not a URL is refused without being shown', async () => {
  process.env['DATABASE_URL'] = 'host=db password=secret';
  const error: unknown = await ensurePostgres().catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
  expect(String(error)).not.toContain('secret');
});

test('PostgreSQL 13 is refused', async () => {
  const { server, port } = await pretendToBe(130_014);
  process.env['DATABASE_URL'] = `postgresql://me@127.0.0.1:${port}/shop`;
  try {
    await expect(ensurePostgres()).rejects.toMatchObject({
      code: 'SERVER_TOO_OLD',
      message: expect.stringContaining('PostgreSQL 13'),
    });
  } finally {
    server.close();
  }
});

/** Implements just enough of the protocol to respond to one query with a version number. */
async function pretendToBe(version: number): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.once('data', () => {
      send(socket, 'R', int32(0));
      send(socket, 'Z', Buffer.from('I'));
      socket.on('data', (message) => {
        if (message.toString('latin1', 0, 1) === 'Q') answer(socket, String(version));
      });
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

function answer(socket: Socket, value: string): void {
  const intType = Buffer.concat([int32(0), int16(0), int32(23), int16(4), int32(-1), int16(0)]);
  send(socket, 'T', Buffer.concat([int16(1), Buffer.from('version\0'), intType]));
  send(socket, 'D', Buffer.concat([int16(1), int32(value.length), Buffer.from(value)]));
  send(socket, 'C', Buffer.from('SELECT 1\0'));
  send(socket, 'Z', Buffer.from('I'));
}

function send(socket: Socket, type: string, body: Buffer): void {
  socket.write(Buffer.concat([Buffer.from(type), int32(body.length + 4), body]));
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type DatabaseAddress, PgDatabase, type PgDatabaseOptions } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { choosePort, TestCluster } from '@waybill/testing';

const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));
const run = promisify(execFile);

const role = statement<[], { port: number; standby: boolean }>(
  'role',
  `select pg_catalog.inet_server_port() as port, pg_catalog.pg_is_in_recovery() as standby`,
);

let cluster: TestCluster;
let primary: string;
let standby: string;
let nowhere: string;
const silent: Server[] = [];
const sockets: Socket[] = [];
const opened: PgDatabase[] = [];

beforeAll(async () => {
  cluster = await TestCluster.start();
  primary = `127.0.0.1:${cluster.primary.port}`;
  standby = `127.0.0.1:${cluster.replica.port}`;
  nowhere = `127.0.0.1:${await choosePort(0)}`;
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of silent) server.close();
  await cluster.stop();
});

/** A URL of these hosts, with the login of the cluster. */
function url(hosts: readonly string[], query = ''): string {
  const { username, password, pathname } = new URL(cluster.primary.connectionString);
  return `postgresql://${username}:${password}@${hosts.join(',')}${pathname}${query === '' ? '' : `?${query}`}`;
}

function open(address: string | DatabaseAddress, options: Partial<PgDatabaseOptions> = {}): PgDatabase {
  const at = typeof address === 'string' ? { connectionString: address } : address;
  const database = new PgDatabase({ ...options, ...at } as PgDatabaseOptions);
  opened.push(database);
  return database;
}

async function portOf(database: PgDatabase): Promise<string> {
  const [row] = await database.session.run(role);
  return `127.0.0.1:${row?.port}`;
}

/** The same of a connection for LISTEN. */
async function aloneOf(database: PgDatabase): Promise<string> {
  const client = await database.connectAlone();
  try {
    return `127.0.0.1:${client.port}`;
  } finally {
    await client.end();
  }
}

/** A server that accepts connections and never says anything, like a host that lost its network. */
async function silentServer(): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  silent.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Place = 'primary' | 'standby' | 'nowhere';
const at = (place: Place): string => ({ primary, standby, nowhere })[place];

describe('of several hosts, the first that fits is connected to', () => {
  const cases: [attrs: string, hosts: readonly Place[], connected: Place][] = [
    ['', ['standby', 'primary'], 'standby'],
    ['', ['nowhere', 'primary'], 'primary'],
    ['any', ['nowhere', 'standby', 'primary'], 'standby'],
    ['read-write', ['nowhere', 'standby', 'primary'], 'primary'],
    ['primary', ['standby', 'primary'], 'primary'],
    ['read-only', ['primary', 'standby'], 'standby'],
    ['standby', ['primary', 'nowhere', 'standby'], 'standby'],
    ['prefer-standby', ['primary', 'standby'], 'standby'],
    ['prefer-standby', ['nowhere', 'primary'], 'primary'],
  ];
  test.each(cases)('target_session_attrs=%s %j → %s', async (attrs, hosts, connected) => {
    const query = attrs === '' ? '' : `target_session_attrs=${attrs}`;
    const database = open(url(hosts.map(at), query));
    expect(await portOf(database)).toBe(at(connected));
    expect(await aloneOf(database)).toBe(at(connected));
    const many = await Promise.all(Array.from({ length: 8 }, () => portOf(open(url(hosts.map(at), query)))));
    expect(new Set(many)).toEqual(new Set([at(connected)]));
  });

  test('hosts and ports may stand in the query, as in libpq', async () => {
    const [first, second] = [standby, primary].map((place) => place.split(':')[1]);
    const query = `host=127.0.0.1,127.0.0.1&port=${first},${second}&target_session_attrs=read-write`;
    expect(await portOf(open(url([''], query)))).toBe(primary);
  });

  test('an address in parts has a list and targetSessionAttrs', async () => {
    const { username: user, password } = new URL(cluster.primary.connectionString);
    const parts = { host: `${standby},${primary}`, user, password, database: 'waybill' };
    expect(await portOf(open(parts))).toBe(standby);
    expect(await portOf(open({ ...parts, targetSessionAttrs: 'primary' }))).toBe(primary);
    expect(await portOf(open({ ...parts, password: async () => password }))).toBe(standby);
  });

  test('many connections at the same time go to the one that fits', async () => {
    const database = open(url([nowhere, standby, primary], 'target_session_attrs=read-write'));
    const ports = await Promise.all(Array.from({ length: 30 }, () => portOf(database)));
    expect(new Set(ports)).toEqual(new Set([primary]));
    const { rows } = await database.pool.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    expect(rows).toEqual([{ standby: false }]);
  });

  test('a host that never responds takes its share of the time limit, once', async () => {
    const mute = await silentServer();
    const database = open(url([mute, primary]), { connectTimeoutMs: 4_000 });
    const started = performance.now();
    expect(await portOf(database)).toBe(primary);
    expect(performance.now() - started).toBeLessThan(3_900);
    const later = performance.now();
    await Promise.all(Array.from({ length: 5 }, () => portOf(database)));
    expect(performance.now() - later).toBeLessThan(1_900);
  });
});

test('the command reads lists of hosts and ports from the PG variables', async () => {
  const { username, password } = new URL(cluster.primary.connectionString);
  const ports = [standby, primary].map((place) => place.split(':')[1]);
  const { DATABASE_URL: _, ...rest } = process.env;
  const env = {
    ...rest,
    PGHOST: '127.0.0.1,127.0.0.1',
    PGPORT: ports.join(','),
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: 'waybill',
    PGTARGETSESSIONATTRS: 'read-write',
  };
  const status = (changed: object) =>
    run(process.execPath, [COMMAND, 'migrate'], { cwd: tmpdir(), env: { ...env, ...changed } });
  expect((await status({})).stdout).toMatch(/0001-/);
  await expect(status({ PGPORT: '1,2,3' })).rejects.toThrow(/2 hosts and PGPORT 3 ports/);
  await expect(status({ PGTARGETSESSIONATTRS: 'master' })).rejects.toThrow(/must be one of any, read-write/);
});

describe('when no host fits', () => {
  test('the error names each host and why', async () => {
    const error: unknown = await portOf(
      open(url([nowhere, standby], 'target_session_attrs=read-write')),
    ).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
    const { message } = error as Error;
    expect(message).toContain(`${standby}: it is a standby`);
    expect(message).toMatch(new RegExp(`${nowhere}: .*ECONNREFUSED`));
    expect(message).toMatch(/Wait until a server has that role/);
    expect(message).not.toContain(new URL(cluster.primary.connectionString).password);
  });

  test('so does that of a single host', async () => {
    const failed = portOf(open(url([standby], 'target_session_attrs=primary')));
    await expect(failed).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringContaining('it is a standby'),
    });
  });

  test('a refused password is reported at once, and by the first host', async () => {
    const wrong = url([primary, nowhere]).replace(/:[^:@]+@/, ':wrong@');
    await expect(portOf(open(wrong))).rejects.toThrow(
      /password authentication failed.*Correct user and password/,
    );
  });

  test('the time limit for a connection holds for all hosts together', async () => {
    const hosts = [await silentServer(), await silentServer()];
    const started = performance.now();
    await expect(portOf(open(url(hosts), { connectTimeoutMs: 2_000 }))).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    expect(performance.now() - started).toBeLessThan(3_500);
  });
});

test.each([
  ['db1,,db2/shop', /empty entry/],
  ['db1,db2,/shop', /empty entry/],
  ['db1:5432,db2:many/shop', /port of host "db2".*got "many"/],
  ['db1:0,db2/shop', /port of host "db1"/],
  ['db1,:5433/shop', /without a host/],
  ['/shop?host=db1,db2&port=1,2,3', /2 hosts and 3 ports/],
  [
    'db1,db2/shop?target_session_attrs=master',
    /target_session_attrs must be one of any, read-write.*"master"/,
  ],
  ['db1/shop?target_session_attrs=', /target_session_attrs must be one of/],
  ['db1/shop?sslmode=allow', /sslmode must be one of disable.*"allow"/],
  ['db1/shop?sslmode=verify-ca', /verify-ca needs sslrootcert/],
])('nonsense is refused: %s', (rest, says) => {
  const connectionString = `postgresql://me:secret@${rest}`;
  let refused: unknown;
  try {
    open(connectionString);
  } catch (error) {
    refused = error;
  }
  expect(refused).toMatchObject({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(says) });
  expect(String(refused)).not.toContain('secret');
});

test('nonsense in parts is refused', () => {
  const parts = { user: 'me', database: 'shop' };
  expect(() => open({ ...parts, host: 'a,,b' })).toThrow(/empty entry/);
  expect(() => open({ ...parts, host: 'a', targetSessionAttrs: 'writer' as 'any' })).toThrow(
    /targetSessionAttrs must be one of/,
  );
});

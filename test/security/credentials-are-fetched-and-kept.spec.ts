import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type DatabaseServer, PgDatabase } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { Waybill, type WaybillModuleOptions } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import pg from 'pg';

/** A self-signed certificate for db.example, and its key: only for this test. */
const TLS = fileURLToPath(new URL('../support/tls/', import.meta.url));
const CERTIFICATE = readFileSync(join(TLS, 'certificate.pem'), 'utf8');
const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));
const SECRET = 'rotating-s3cr3t';

const whoAmI = statement<[], { user: string; tls: boolean }>(
  'who-am-i',
  `select current_user::text as "user", (select s.ssl from pg_catalog.pg_stat_ssl s where s.pid = pg_backend_pid()) as tls`,
);

let server: EmbeddedPostgres;
let folder: string;
const opened: PgDatabase[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-credentials-'));
  server = await startPostgres();
  const data = join(server.dataDir, 'data');
  await asOwner(async (client) => {
    await client.query(`create role rotating login password '${SECRET}-1'`);
    await client.query('grant create on database waybill to rotating');
  });
  await serveTls(data);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function asOwner<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(server.connectionString);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Gives the running server the certificate, by COPY: its files belong to the user that it runs as. */
async function serveTls(data: string): Promise<void> {
  await asOwner(async (client) => {
    for (const name of ['certificate.pem', 'key.pem']) {
      const pem = readFileSync(join(TLS, name), 'utf8').trim().replaceAll('\n', `'), ('`);
      await client.query(`copy (values ('${pem}')) to '${join(data, name)}'`);
      if (name === 'key.pem') chmodSync(join(data, name), 0o600);
    }
    await client.query(`alter system set ssl_cert_file = 'certificate.pem'`);
    await client.query(`alter system set ssl_key_file = 'key.pem'`);
    await client.query('alter system set ssl = on');
    await client.query('select pg_reload_conf()');
  });
  await waitUntil(
    () => asOwner(async (client) => (await client.query<{ ssl: string }>('show ssl')).rows[0]?.ssl === 'on'),
    { describe: 'the server has TLS' },
  );
}

function at(given: Partial<DatabaseServer> = {}): DatabaseServer {
  const { hostname, port, username, password, pathname } = new URL(server.connectionString);
  return {
    host: hostname,
    port: Number(port),
    user: username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    ...given,
  };
}

function open(given: Partial<DatabaseServer> = {}): PgDatabase {
  const database = new PgDatabase({ ...at(given), connectionsMax: 3 });
  opened.push(database);
  return database;
}

const setPassword = (password: string): Promise<unknown> =>
  asOwner((client) => client.query(`alter role rotating password '${password}'`));

const failureOf = async (given: Partial<DatabaseServer>): Promise<Error> => {
  try {
    await open(given).session.run(whoAmI);
  } catch (error) {
    return error as Error;
  }
  throw new Error('it could be connected to');
};

describe('a password function', () => {
  test('is called for each new connection, so that a rotated one is used at once', async () => {
    const asked: string[] = [];
    let current = `${SECRET}-1`;
    const database = open({
      user: 'rotating',
      password: async () => {
        asked.push(current);
        return current;
      },
    });
    expect(await database.session.run(whoAmI)).toEqual([{ user: 'rotating', tls: false }]);
    await database.session.run(whoAmI);
    expect(asked).toHaveLength(1);
    current = `${SECRET}-2`;
    await setPassword(current);
    const client = await database.connectAlone();
    await client.end();
    expect(asked).toEqual([`${SECRET}-1`, `${SECRET}-2`]);
  });

  test.each<[string, () => never, RegExp]>([
    [
      'throws',
      () => {
        throw Object.assign(new TypeError(`no, ${SECRET}`), { code: 'EVAULT' });
      },
      /threw TypeError EVAULT/,
    ],
    [
      'throws a value that is not an error',
      () => {
        throw SECRET;
      },
      /threw /,
    ],
    ['rejects', () => Promise.reject(new RangeError(SECRET)) as never, /threw RangeError/],
    ['returns no string', () => ({ token: SECRET }) as never, /did not return a password, but object/],
    ['returns nothing', () => undefined as never, /did not return a password, but undefined/],
    ['returns an empty string', () => '' as never, /an empty text/],
    ['never resolves', () => new Promise(() => {}) as never, /not return within 100 ms/],
  ])('that %s: a typed error that may be retried, without the secret', async (_what, password, says) => {
    const error = await failureOf({ user: 'rotating', password, passwordTimeoutMs: 100 });
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
    expect(error.message).toMatch(says);
    expect(error.message).toContain('rotating at 127.0.0.1');
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
  });

  test('serves a whole instance, its outbox and its log, starting with the migration', async () => {
    await setPassword(`${SECRET}-3`);
    const database = { ...at({ user: 'rotating', password: () => Promise.resolve(`${SECRET}-3`) }) };
    expect((await migrate({ ...database, schema: 'rotated' })).length).toBeGreaterThan(5);
    const options: WaybillModuleOptions = {
      database: { ...database, schema: 'rotated' },
      bus: { ...database, schema: 'rotated' },
      group: 'shop',
      topics: { orders: {} },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    };
    const waybill = new Waybill('credentials', options);
    try {
      await waybill.start();
      expect((await waybill.topics.list()).map(({ name }) => name)).toContain('orders');
    } finally {
      await waybill.stop();
    }
  });
});

describe('TLS by options', () => {
  const trusted = { ca: CERTIFICATE, servername: 'db.example' };

  test('verifies the certificate against servername', async () => {
    const user = { user: 'rotating', password: `${SECRET}-4` };
    await setPassword(user.password);
    expect(await open({ ...user, ssl: trusted }).session.run(whoAmI)).toEqual([
      { user: 'rotating', tls: true },
    ]);
    // The driver replaces servername with a host that is a name.
    const [row] = await open({ ...user, host: 'localhost', ssl: trusted }).session.run(whoAmI);
    expect(row?.tls).toBe(true);
    const anybody = { ...user, ssl: { rejectUnauthorized: false } };
    expect((await open(anybody).session.run(whoAmI))[0]?.tls).toBe(true);
  });

  test.each<[string, DatabaseServer['ssl'], RegExp]>([
    ['an authority that is not trusted', true, /authority that this process trusts/],
    [
      'an authority that is not trusted, with options',
      { servername: 'db.example' },
      /authority that this process trusts/,
    ],
    ['a certificate for another name', { ca: CERTIFICATE }, /for a different name/],
    [
      'a certificate for another servername',
      { ca: CERTIFICATE, servername: 'x.example' },
      /for a different name/,
    ],
  ])('refuses %s', async (_what, ssl, says) => {
    const error = await failureOf({ ssl: ssl ?? true });
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', message: expect.stringMatching(says) });
    expect((await failureOf({ host: 'localhost', ssl: ssl ?? true })).message).toMatch(says);
  });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['both forms', { connectionString: 'postgresql://localhost/shop' }, /either connectionString or the parts/],
  ['no user', { user: undefined }, /user must be a non-empty string/],
  ['no database', { database: '' }, /database must be a non-empty string/],
  ['an invalid port', { port: '5432' }, /port must be a whole number/],
  ['an invalid password', { password: 17 }, /password must be a non-empty string, or a function/],
  [
    'a time out of its range',
    { passwordTimeoutMs: 60_000 },
    /passwordTimeoutMs must be a whole number from 10 to 9000/,
  ],
  ['an unknown option', { pasword: SECRET }, /there is no option "pasword", did you mean password\?/],
  [
    'an unknown option of TLS',
    { ssl: { serverName: 'x' } },
    /ssl: there is no option "serverName", did you mean servername/,
  ],
  ['an invalid ssl option', { ssl: 'require' }, /ssl must be true, false or/],
  ['an invalid certificate', { ssl: { ca: 'nothing' } }, /ssl.ca is not a PEM certificate/],
  ['a certificate without its key', { ssl: { cert: CERTIFICATE } }, /belong together/],
])('an address with %s is refused at boot, without its password', (_what, given, says) => {
  for (const place of ['database', 'bus'] as const) {
    const good = { connectionString: 'postgresql://localhost/shop' };
    const options = { database: good, [place]: { ...at({ password: SECRET }), ...given }, group: 'shop' };
    let refused: unknown;
    try {
      void new Waybill('refused', options as unknown as WaybillModuleOptions);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(says) });
    expect((refused as Error).message).toContain(`${place}: `);
    expect(inspect(refused, { depth: 9 })).not.toContain(SECRET);
  }
});

describe('the command', () => {
  /** Runs the command as a program with only these variables of PostgreSQL in its environment. */
  function run(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ code: unknown; stdout: string; stderr: string }> {
    const kept = Object.entries(process.env).filter(([name]) => !/^PG|^DATABASE_URL$|^REDIS_URL$/.test(name));
    return new Promise((resolve) => {
      const options = { cwd: folder, env: { ...Object.fromEntries(kept), ...env } };
      execFile(process.execPath, [COMMAND, ...args], options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : error.code, stdout, stderr });
      });
    });
  }

  test('takes the database from a file, or from PGHOST and related variables', async () => {
    const { host, port, user, password, database } = at();
    const file = join(folder, 'url');
    writeFileSync(file, `${server.connectionString}\n`);
    expect(await run(['--database-url-file', file, 'migrate'])).toMatchObject({ code: 0, stderr: '' });
    const env = {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGDATABASE: database,
      PGPASSWORD: password as string,
    };
    expect(await run(['migrate', '--status'], env)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('0003-service'),
    });
    expect(await run(['migrate', '--status'], { PGHOST: host })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('PGUSER is not'),
    });
    expect(await run(['--database-url-file', join(folder, 'none'), 'migrate', '--status'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the file does not exist'),
    });
  });

  test('warns about a password that process lists show', async () => {
    const { code, stderr } = await run(['--database-url', server.connectionString, 'migrate', '--status']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^waybill: warning: a password on the command line is visible/);
    expect(stderr).not.toContain(new URL(server.connectionString).password);
  });

  test.each([
    [['--database-url', `postgresql://me:${SECRET}@127.0.0.1:1/shop`, 'migrate', '--status']],
    [['--database-url', `postgresql://me:${SECRET}@127.0.0.1:1/shop`, 'status']],
    [['--database-url', `postgresql://me:${SECRET}@127.0.0.1:1/shop`, 'status', '--json']],
    [['--database-url', `postgresql://me:${SECRET}@127.0.0.1:1/shop`, 'doctor']],
    [['--database-url', `postgresql://me:${SECRET}@127.0.0.1:1/shop`, 'doctor', '--json']],
    [[`postgresql://me:${SECRET}@127.0.0.1:1/shop`]],
    [['migrate', `--database=postgresql://me:${SECRET}@127.0.0.1:1/shop`]],
    [
      [
        'doctor',
        '--redis',
        `redis://me:${SECRET}@127.0.0.1:1`,
        '--database-url',
        `postgresql://me:${SECRET}@h:x/shop`,
      ],
    ],
  ])('prints no password: %j', async (words) => {
    const { code, stdout, stderr } = await run(words);
    expect(code).not.toBe(0);
    expect(stdout + stderr).not.toContain(SECRET);
  });
});

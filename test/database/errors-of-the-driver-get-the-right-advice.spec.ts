import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { choosePort, type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { outboxOf } from '../support/places.js';

/** A self-signed certificate for db.example, and its key: only for this test. */
const TLS = fileURLToPath(new URL('../support/tls/', import.meta.url));
const read = (text: string) => statement<[], { n: number }>('probe', text);

let server: EmbeddedPostgres;
let folder: string;
const hostile: Server[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-sockets-'));
  chmodSync(folder, 0o755);
  server = await startPostgres({ settings: { max_connections: '12' } });
  const hba = join(server.dataDir, 'data', 'pg_hba.conf');
  const rules = [
    'host all ghost 127.0.0.1/32 trust',
    'host all banned 127.0.0.1/32 reject',
    'hostssl all tlsonly 127.0.0.1/32 scram-sha-256',
    'host all waybill,unknown_user,limited 127.0.0.1/32 scram-sha-256',
  ];
  writeFileSync(hba, `${rules.join('\n')}\n`);
  await asOwner((client) => client.query('select pg_reload_conf()'));
  await asOwner((client) => client.query(`create role limited login password 'x'`));
  await asOwner((client) => client.query('revoke connect on database waybill from public'));
  await waitUntil(async () => (await failure(url({ user: 'banned' }))).message.includes('pg_hba.conf'), {
    describe: 'the new rules are in force',
  });
});
afterAll(async () => {
  for (const one of hostile) one.close();
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

interface Place {
  readonly user?: string;
  readonly password?: string;
  readonly port?: number;
  readonly host?: string;
  readonly database?: string;
  readonly query?: string;
}

function url({ user, password, port, host, database, query }: Place): string {
  const at = new URL(server.connectionString);
  if (user !== undefined) at.username = user;
  if (password !== undefined) at.password = password;
  if (port !== undefined) at.port = String(port);
  if (host !== undefined) at.hostname = host;
  if (database !== undefined) at.pathname = `/${database}`;
  return `${at.href}${query === undefined ? '' : `?${query}`}`;
}

/** The result of a connection, as a starting application sees it. */
async function failure(connectionString: string): Promise<Error & { code?: string; retryable?: boolean }> {
  const database = new PgDatabase({ connectionString, connectTimeoutMs: 5_000 });
  try {
    await database.withConnection((connection) => connection.run(read('select 1 as n')));
  } catch (error) {
    return error as Error;
  } finally {
    await database.close();
  }
  throw new Error('it could be connected to');
}

/** A server that does this with each connection. @returns its port */
async function listening(serve: (socket: Socket) => void): Promise<number> {
  const made = createServer((socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  hostile.push(made);
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  return (made.address() as AddressInfo).port;
}

/** Accepts TLS, with a self-signed certificate for db.example. */
function serveTls(socket: Socket): void {
  socket.once('data', () => {
    socket.write('S');
    const [key, cert] = ['key.pem', 'certificate.pem'].map((name) => readFileSync(join(TLS, name)));
    const secured = new TLSSocket(socket, { isServer: true, key, cert });
    secured.on('error', () => {});
  });
}

const none = fileURLToPath(new URL('./none.pem', import.meta.url));
const cases: [what: string, place: () => Place | string | Promise<Place>, advice: RegExp][] = [
  ['a wrong password', () => ({ password: 'wrong' }), /Correct user and password/],
  ['an unknown user', () => ({ user: 'unknown_user' }), /Correct user and password/],
  [
    'an unknown user that needs no password',
    () => ({ user: 'ghost' }),
    /Correct the user .* or create the role/,
  ],
  ['no password', () => ({ password: '' }), /has none: write it as postgresql:\/\/user:password@host/],
  ['an unknown database', () => ({ database: 'nowhere' }), /database name.*or create the database/],
  [
    'a database that is closed to the login',
    () => ({ user: 'limited', password: 'x' }),
    /CONNECT on the database/,
  ],
  ['a user that pg_hba.conf rejects', () => ({ user: 'banned' }), /server.s pg_hba\.conf, and reload it/],
  ['a user that may come by TLS only', () => ({ user: 'tlsonly' }), /over TLS only: add sslmode=verify-full/],
  ['no server', async () => ({ port: await choosePort(0) }), /Check that the server is running/],
  ['a host that does not exist', () => ({ host: 'nowhere.invalid' }), /Correct the host/],
  ['a socket that does not exist', () => `postgresql:///waybill?host=${folder}`, /folder of Unix sockets/],
  ['a socket in a file', () => `postgresql:///waybill?host=${TLS}key.pem`, /folder of Unix sockets/],
  [
    'TLS that the server has not',
    () => ({ query: 'sslmode=verify-full' }),
    /switch it on there .* sslmode=disable/,
  ],
  [
    'a self-signed certificate',
    async () => ({ port: await listening(serveTls), query: 'sslmode=verify-full' }),
    /sslrootcert/,
  ],
  [
    'a certificate for another host',
    async () => ({
      port: await listening(serveTls),
      query: `sslmode=verify-full&sslrootcert=${encodeURIComponent(`${TLS}certificate.pem`)}`,
    }),
    /for a different name/,
  ],
  [
    'a connection that is closed at once',
    async () => ({ port: await listening((socket) => socket.end()) }),
    /server is running/,
  ],
  [
    'one that is reset',
    async () => ({ port: await listening((socket) => socket.resetAndDestroy()) }),
    /server is running/,
  ],
];

describe('a connection fails by', () => {
  test.each(cases)('%s: the error says what to do', async (_what, place, advice) => {
    const at = await place();
    const error = await failure(typeof at === 'string' ? at : url(at));
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true, cause: expect.anything() });
    expect(error.message).toMatch(advice);
    expect(error.message).not.toMatch(/privileges|\(\)/);
  });

  test('too many connections', async () => {
    const clients: pg.Client[] = [];
    for (let isFull = false; !isFull;) {
      const client = new pg.Client(server.connectionString);
      client.on('error', () => {});
      isFull = await client.connect().then(
        () => clients.push(client) === 0,
        () => true,
      );
    }
    try {
      const error = await failure(server.connectionString);
      expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      expect(error.message).toMatch(/raise max_connections, or lower connectionsMax/);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });

  test.each([
    ['mysql://root:secret@127.0.0.1/shop', /must begin with postgresql:\/\/, not with mysql:\/\//],
    ['host=db password=secret', /must begin with postgresql:\/\//],
    ['', /must begin with postgresql:\/\//],
    ['postgresql://me:sec#ret@127.0.0.1:5432/shop', /percent-encoded/],
    ['postgresql://me:secret@127.0.0.1:many/shop', /percent-encoded/],
    [`postgresql://me:secret@127.0.0.1/shop?sslrootcert=${none}`, /none\.pem.*cannot be read \(ENOENT\)/],
  ])('an invalid connection string: %s', (connectionString, says) => {
    let error: unknown;
    try {
      void new PgDatabase({ connectionString });
    } catch (refused) {
      error = refused;
    }
    expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(says) });
    expect((error as Error).message).not.toContain('secret');
  });
});

const isRoot = process.getuid?.() === 0;
if (isRoot)
  process.stderr.write(
    'The test of a folder of sockets that the process may not read is skipped: it runs as root.\n',
  );
(isRoot ? describe.skip : describe)('a connection fails by a folder of sockets', () => {
  test('that the process may not read: the error says what to do', async () => {
    const closed = mkdtempSync(join(folder, 'closed-'));
    chmodSync(closed, 0);
    const error = await failure(`postgresql:///waybill?host=${closed}`);
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', cause: { code: 'EACCES' } });
    expect(error.message).toMatch(/folder of Unix sockets.*may access it/);
  });
});

describe('a statement fails by', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
    await fixture.database.pool.query('create table claim (id int primary key)');
  });
  afterAll(() => fixture.close());

  const run = (text: string, before: readonly string[] = []): Promise<unknown> =>
    fixture.database.withConnection(async (connection) => {
      for (const one of before) await connection.client.query(one);
      return connection.run(read(text));
    });

  test.each([
    ['42P01', 'select n from waybill.nothing', 'MIGRATION_REQUIRED', /npx waybill migrate/],
    ['3F000', 'select nowhere.nothing()', 'MIGRATION_REQUIRED', /npx waybill migrate/],
    ['42883', 'select waybill.nothing()', 'MIGRATION_REQUIRED', /npx waybill migrate/],
    ['26000', 'execute nothing', 'CONFIGURATION_INVALID', /outbox\.preparedStatements/],
    ['WB001', `select waybill.known_topic('none')`, 'TOPIC_UNKNOWN', /Topic none does not exist/],
    ['WB006', `select waybill.known_topic('orders', 99)`, 'MESSAGE_INVALID', /partition/],
    ['22012', 'select 1 / 0', 'DATABASE_REFUSED', /SQLSTATE 22012/],
  ])('%s', async (sqlState, text, code, says) => {
    await expect(run(text)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says),
      ...(code === 'MESSAGE_INVALID' ? {} : { cause: { code: sqlState } }),
    });
  });

  test.each([
    ['42P05', 'prepare twice as select 1', ['prepare twice as select 1'], 'CONFIGURATION_INVALID'],
    ['57014', 'select pg_sleep(5)', [`set statement_timeout to '5ms'`], 'DATABASE_UNAVAILABLE'],
    ['25006', 'insert into claim values (9)', ['begin read only'], undefined],
  ])('%s after statements before it', async (sqlState, text, before, code) => {
    await expect(run(text, before)).rejects.toMatchObject({
      cause: { code: sqlState },
      ...(code === undefined ? {} : { code }),
    });
  });

  test('55P03, a lock that another transaction holds', async () => {
    await fixture.transaction(async (client) => {
      await client.query('lock table claim');
      await expect(run('lock table claim nowait', ['begin'])).rejects.toMatchObject({
        code: 'TRANSACTION_CONFLICT',
        cause: { code: '55P03' },
      });
    });
  });

  test('25P03, a transaction that was idle for too long', async () => {
    const idle = fixture.database.withConnection(async (connection) => {
      const lost = new Promise((resolve) => connection.client.once('end', resolve));
      await connection.client.query(`set idle_in_transaction_session_timeout to '5ms'`);
      await connection.client.query('begin');
      await lost;
      await connection.run(read('select 1 as n'));
    });
    await expect(idle).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  test('57P01, a session that an operator has ended', async () => {
    const database = new PgDatabase({ connectionString: fixture.url });
    const ended = database.session.run(read('select pg_terminate_backend(pg_backend_pid())'));
    await expect(ended).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', cause: { code: '57P01' } });
    await database.close();
  });

  const duplicate = 'insert into claim values (1), (1)';
  const swallow = async (client: pg.ClientBase): Promise<void> => {
    await client.query(duplicate).catch(() => {});
  };

  test('25P02: an error was swallowed, and the next error names it', async () => {
    const swallowing = fixture.database.withConnection(async (connection) => {
      await connection.client.query('begin');
      await swallow(connection.client);
      await expect(connection.client.query('select 1')).rejects.toMatchObject({
        code: '25P02',
        message: expect.stringMatching(/aborted.*the statement that failed it: duplicate key/),
      });
      await connection.run(read('select 1 as n'));
    });
    await expect(swallowing).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
      message: expect.stringMatching(/already failed: duplicate key .*with a savepoint/),
      cause: { code: '23505' },
    });
  });

  test('25P02: COMMIT of such a transaction, and publishing in it', async () => {
    const committing = fixture.database.transaction((connection) => swallow(connection.client));
    await expect(committing).rejects.toMatchObject({
      message: expect.stringMatching(/rolled back by its COMMIT.*duplicate key/),
      cause: { code: '23505' },
    });
    const publishing = fixture.transaction(async (client) => {
      await swallow(client);
      await outboxOf().publish(client, { topic: 'orders', payload: { n: 1 } });
    });
    await expect(publishing).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
      message: expect.stringMatching(/already failed: duplicate key/),
      cause: { code: '23505' },
    });
  });

  test('25P02: an error that was rolled back to a savepoint, or in an earlier transaction, is not named', async () => {
    await fixture.database.withConnection(async ({ client }) => {
      await client.query('begin');
      await swallow(client);
      await client.query('rollback');
      await client.query('begin');
      await client.query('savepoint a');
      await swallow(client);
      await client.query('rollback to a');
      await client.query('select 1 / 0').catch(() => {});
      await expect(client.query('select 1')).rejects.toThrow(/failed it: division by zero/);
      await client.query('rollback');
    });
  });

  test('25P02: a swallowed conflict is a conflict', async () => {
    await fixture.transaction(async (holder) => {
      await holder.query('lock table claim');
      const swallowing = fixture.database.withConnection(async (connection) => {
        await connection.client.query('begin');
        await connection.client.query('lock table claim nowait').catch(() => {});
        await connection.run(read('select 1 as n'));
      });
      await expect(swallowing).rejects.toMatchObject({
        code: 'TRANSACTION_CONFLICT',
        cause: { code: '55P03' },
      });
    });
  });
});

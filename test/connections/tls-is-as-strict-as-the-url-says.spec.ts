import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type DatabaseAddress, PgDatabase } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { describeWhere } from '../support/describe-where.js';

const encrypted = statement<[], { encrypted: boolean }>(
  'encrypted',
  'select ssl as encrypted from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()',
);

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const NAMED = 'localhost';
/** The same server, by a name that is not in its certificate. */
const UNNAMED = '127.0.0.1';

/** A server with a certificate for `localhost`, signed by its own authority; and another authority. */
class TlsServer {
  private constructor(
    readonly server: EmbeddedPostgres,
    readonly folder: string,
  ) {}

  static async start(): Promise<TlsServer> {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'));
    chmodSync(folder, 0o755);
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    for (const name of ['authority', 'stranger'])
      openssl(
        'req',
        '-x509',
        ...newKey,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
        '-subj',
        `/CN=${name}`,
      );
    openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', '-subj', `/CN=${NAMED}`);
    writeFileSync(join(folder, 'names.cnf'), `subjectAltName=DNS:${NAMED}\n`);
    const signed = ['-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', 'server.csr', ...signed, '-extfile', 'names.cnf', '-out', 'server.pem');
    const server = await startPostgres();
    const { uid, gid } = statSync(join(server.dataDir, 'data'));
    chownSync(join(folder, 'server.key'), uid, gid);
    chmodSync(join(folder, 'server.key'), 0o600);
    const made = new TlsServer(server, folder);
    await made.#alter('ssl_cert_file', join(folder, 'server.pem'));
    await made.#alter('ssl_key_file', join(folder, 'server.key'));
    await made.offerTls(true);
    return made;
  }

  async offerTls(on: boolean): Promise<void> {
    await this.#alter('ssl', on ? 'on' : 'off');
    await this.#run('select pg_reload_conf()');
    const takes = () => this.encryption(NAMED, 'sslmode=require').catch(() => false);
    await waitUntil(async () => (await takes()) === on, { describe: `TLS is ${on ? 'on' : 'off'}` });
  }

  url(host: string, query: string): string {
    const { username, password, port } = new URL(this.server.connectionString);
    const hosts = host.split(',').map((one) => (one.startsWith('/') ? one : `${one}:${port}`));
    return `postgresql://${username}:${password}@${hosts.join(',')}/waybill?${query}`;
  }

  /** `sslrootcert` of one of the two authorities. */
  root(name: 'authority' | 'stranger'): string {
    return `sslrootcert=${encodeURIComponent(join(this.folder, `${name}.pem`))}`;
  }

  encryption(host: string, query: string): Promise<boolean | undefined> {
    return encryptionOf({ connectionString: this.url(host, query) });
  }

  async stop(): Promise<void> {
    await this.server.stop();
    rmSync(this.folder, { recursive: true });
  }

  #alter(name: string, value: string): Promise<void> {
    return this.#run(`alter system set ${name} = ${pg.escapeLiteral(value)}`);
  }

  async #run(text: string): Promise<void> {
    const client = new pg.Client(this.server.connectionString);
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }
}

/** Whether the connection is encrypted. */
async function encryptionOf(address: DatabaseAddress): Promise<boolean | undefined> {
  const database = new PgDatabase({ ...address, connectTimeoutMs: 5_000 });
  try {
    const alone = await database.connectAlone();
    await alone.end();
    return (await database.session.run(encrypted))[0]?.encrypted;
  } finally {
    await database.close();
  }
}

describeWhere(hasOpenssl, 'a server with a certificate', 'openssl', () => {
  let tls: TlsServer;
  beforeAll(async () => {
    tls = await TlsServer.start();
  });
  afterAll(() => tls.stop());

  const accepted: [mode: string, host: string, root: 'authority' | undefined, isEncrypted: boolean][] = [
    ['disable', UNNAMED, undefined, false],
    ['prefer', UNNAMED, undefined, true],
    ['require', UNNAMED, undefined, true],
    ['require', UNNAMED, 'authority', true],
    ['verify-ca', UNNAMED, 'authority', true],
    ['verify-full', NAMED, 'authority', true],
    // The first name is refused, the second is tried.
    ['verify-full', `${UNNAMED},${NAMED}`, 'authority', true],
  ];
  test.each(accepted)(
    'sslmode=%s to %s, trusting %s: encrypted %#',
    async (mode, host, root, isEncrypted) => {
      const query = root === undefined ? `sslmode=${mode}` : `sslmode=${mode}&${tls.root(root)}`;
      expect(await tls.encryption(host, query)).toBe(isEncrypted);
    },
  );

  const refused: [mode: string, host: string, root: 'authority' | 'stranger' | undefined, why: RegExp][] = [
    ['require', NAMED, 'stranger', /not signed by an authority that this process trusts/],
    ['verify-ca', NAMED, 'stranger', /not signed by an authority that this process trusts/],
    ['verify-full', NAMED, undefined, /not signed by an authority that this process trusts/],
    ['verify-full', NAMED, 'stranger', /not signed by an authority that this process trusts/],
    ['verify-full', UNNAMED, 'authority', /certificate is for a different name/],
  ];
  test.each(refused)('sslmode=%s to %s, trusting %s, is refused', async (mode, host, root, why) => {
    const query = root === undefined ? `sslmode=${mode}` : `sslmode=${mode}&${tls.root(root)}`;
    const failed = tls.encryption(host, query);
    await expect(failed).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(why),
    });
  });

  test('an address in parts verifies each host of its list by its own name', async () => {
    const { username: user, password, port } = new URL(tls.server.connectionString);
    const ca = readFileSync(join(tls.folder, 'authority.pem'));
    const parts = { user, password, port: Number(port), database: 'waybill', ssl: { ca } };
    expect(await encryptionOf({ ...parts, host: NAMED })).toBe(true);
    expect(await encryptionOf({ ...parts, host: `${UNNAMED},${NAMED}` })).toBe(true);
    await expect(encryptionOf({ ...parts, host: UNNAMED })).rejects.toThrow(/for a different name/);
  });

  test('without TLS on the server, prefer connects, and require says what to do', async () => {
    await tls.offerTls(false);
    try {
      expect(await tls.encryption(NAMED, 'sslmode=prefer')).toBe(false);
      expect(await tls.encryption(`${UNNAMED},${NAMED}`, 'sslmode=prefer')).toBe(false);
      await expect(tls.encryption(NAMED, 'sslmode=require')).rejects.toThrow(
        /switch it on there \(ssl = on\)/,
      );
    } finally {
      await tls.offerTls(true);
    }
  });
});

describe('a Unix socket', () => {
  let folder: string;
  let server: EmbeddedPostgres;
  let socket: Server;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-socket-'));
    server = await startPostgres();
    socket = createServer((client) => {
      const upstream = connect(server.port, '127.0.0.1');
      client.pipe(upstream).pipe(client);
      for (const one of [client, upstream]) one.on('error', () => {});
    });
    socket.listen(join(folder, '.s.PGSQL.5432'));
    await once(socket, 'listening');
  });
  afterAll(async () => {
    socket.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['in the query', (at: string) => `/waybill?host=${at}`],
    ['percent-encoded as the host', (at: string) => `${encodeURIComponent(at)}/waybill`],
    ['in a list', (at: string) => `/waybill?host=/nowhere,${at}`],
    ['percent-encoded in a list', (at: string) => `%2Fnowhere,${encodeURIComponent(at)}/waybill`],
    ['with an sslmode, which does not concern it', (at: string) => `/waybill?host=${at}&sslmode=verify-full`],
  ])('is connected to: %s', async (_how, rest) => {
    const { username, password } = new URL(server.connectionString);
    const connectionString = `postgresql://${username}:${password}@${rest(folder)}`;
    expect(await encryptionOf({ connectionString })).toBe(false);
  });
});

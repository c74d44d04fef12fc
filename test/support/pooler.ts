import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePort, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { describeWhere } from './describe-where.js';

const PROGRAM = 'pgbouncer';
/** `nobody`: PgBouncer refuses to run as root. */
const NOBODY = 65_534;

/** A PgBouncer in transaction mode that does not track prepared statements, as before its release 1.21. */
export interface Pooler {
  /** The database that it connects to. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A suite that needs PgBouncer. Without one it is skipped with a message; in CI it fails. */
export function describeWithPooler(name: string, suite: () => void): void {
  const usable = spawnSync(PROGRAM, ['--version']).status === 0;
  describeWhere(usable, name, 'pgbouncer on the PATH (Debian has it in /usr/sbin)', suite);
}

/** Starts one for a database, with so few connections that sessions share them. It ends with this process. */
export async function startPooler(databaseUrl: string): Promise<Pooler> {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const own = await choosePort(0);
  const folder = mkdtempSync(join(tmpdir(), 'pooler-'));
  const config = join(folder, 'pgbouncer.ini');
  const target = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: own,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: 'transaction',
    default_pool_size: 8,
    max_client_conn: 300,
    ...(trackPrepared() ? { max_prepared_statements: 0 } : {}),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  writeFileSync(config, `[databases]\n* = ${target}\n[pgbouncer]\n${lines.join('\n')}\n`);
  chmodSync(folder, 0o755);
  const as = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  // The shell ends it when this process has ended in any way: its input is closed then.
  const script = `${PROGRAM} "$0" & trap "kill $!; wait $!" EXIT; read _`;
  const child = spawn('sh', ['-c', script, config], { ...as, stdio: ['pipe', 'ignore', 'ignore'] });
  const url = `postgresql://${username}@127.0.0.1:${own}${pathname}`;
  try {
    await waitUntil(() => answers(url), { describe: 'PgBouncer responds' });
  } catch (error) {
    await end(child, folder);
    throw error;
  }
  return { url, stop: () => end(child, folder) };
}

/** Whether this release can track prepared statements, and must be configured not to. */
function trackPrepared(): boolean {
  const { stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  const [, minor = '0'] = /PgBouncer 1\.(\d+)/.exec(stdout) ?? [];
  return Number(minor) >= 21;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.stdin?.end();
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

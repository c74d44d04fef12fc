/** Used by the set-up of a run, which Node runs as it is, and by tests of poolers (test/support/pooler.ts). */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePort, waitUntil } from '@waybill/testing';
import pg from 'pg';

const PROGRAM = 'pgbouncer';
/** `nobody`: PgBouncer refuses to run as root. */
const NOBODY = 65_534;

export function poolerIsAvailable() {
  return spawnSync(PROGRAM, ['--version']).status === 0;
}

export async function startPooler(databaseUrl, connectionsMax = 8) {
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
    default_pool_size: connectionsMax,
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
function trackPrepared() {
  const { stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  const [, minor = '0'] = /PgBouncer 1\.(\d+)/.exec(stdout) ?? [];
  return Number(minor) >= 21;
}

async function answers(url) {
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

async function end(child, folder) {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.stdin.end();
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

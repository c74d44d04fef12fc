import { chown, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { isSystemError } from '../process/system-error.js';
import type { UnprivilegedUser } from './unprivileged-user.js';

/** Belong to the server that runs there, or are rebuilt by the one that starts on the copy. */
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'pg_replslot', 'pg_stat_tmp', 'pgsql_tmp']);
/** Folders that must exist, with nothing in them. */
const EMPTIED = ['pg_replslot', 'pg_stat_tmp'];

/** Which data to copy, and to where. */
export interface BaseBackup {
  /** URL of the running server, as its superuser. */
  readonly connectionString: string;
  /** Its data directory. */
  readonly source: string;
  /** Data directory of the copy, which does not exist yet. */
  readonly target: string;
  /** Owner of the copy; undefined for this process's own user. */
  readonly user: UnprivilegedUser | undefined;
}

/**
 * Copies the data of a running server, also while it works, as `pg_basebackup` does, which the embedded binaries lack.
 * A server that starts on the copy first replays the WAL that was written meanwhile.
 */
export async function takeBaseBackup({ connectionString, source, target, user }: BaseBackup): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    const old = (rows[0]?.version ?? 0) < 150_000;
    await client.query(
      old ? `select pg_start_backup('waybill', true, false)` : `select pg_backup_start('waybill', true)`,
    );
    await copyFolder(source, target, user);
    for (const name of EMPTIED) await makeFolder(join(target, name), user);
    const stopped = await client.query<{ labelfile: string }>(
      old
        ? 'select labelfile from pg_stop_backup(false, false)'
        : 'select labelfile from pg_backup_stop(false)',
    );
    await writeOwn(join(target, 'backup_label'), stopped.rows[0]?.labelfile ?? '', user);
  } finally {
    await client.end();
  }
}

/** Makes a data directory that of a standby of the server at `conninfo`. */
export async function makeStandby(
  data: string,
  conninfo: string,
  user: UnprivilegedUser | undefined,
): Promise<void> {
  const settings = join(data, 'postgresql.auto.conf');
  const lines = (await readFile(settings, 'utf8'))
    .split('\n')
    .filter((line) => !/^(primary_conninfo|synchronous_standby_names)\b/.test(line));
  await writeOwn(settings, [...lines, `primary_conninfo = '${conninfo}'`, ''].join('\n'), user);
  await writeOwn(join(data, 'standby.signal'), '', user);
}

/** All files at once: on a busy machine it is the waiting for each that takes the time. */
async function copyFolder(source: string, target: string, user: UnprivilegedUser | undefined): Promise<void> {
  await makeFolder(target, user);
  const entries = await readdir(source, { withFileTypes: true });
  await Promise.all(
    entries
      .filter(({ name }) => !LEFT_OUT.has(name))
      .map(async (entry) => {
        const [from, to] = [join(source, entry.name), join(target, entry.name)];
        try {
          if (entry.isDirectory()) await copyFolder(from, to, user);
          else {
            await copyFile(from, to);
            await own(to, user);
          }
        } catch (error) {
          // A table that was dropped, or WAL that was recycled, since the folder was read: the replay does the same.
          if (!isSystemError(error, 'ENOENT')) throw error;
        }
      }),
  );
}

async function makeFolder(path: string, user: UnprivilegedUser | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700, recursive: true });
  await own(path, user);
}

async function writeOwn(path: string, text: string, user: UnprivilegedUser | undefined): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await own(path, user);
}

async function own(path: string, user: UnprivilegedUser | undefined): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid);
}

import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lifeline } from '../process/lifeline.js';
import { prepareBinaries, type NativeBinaries } from './native-binaries.js';
import type { PostgresVersion } from './postgres-version.js';
import { DETOUR } from './postmaster-file.js';
import { runToEnd } from '../process/run-to-end.js';
import { isSystemError } from '../process/system-error.js';
import { TestingError, USE_DATABASE_URL } from '../testing-error.js';
import {
  isReachableByAll,
  newTemporaryPath,
  unprivilegedUser,
  type UnprivilegedUser,
} from './unprivileged-user.js';

/** The superuser of every embedded server. */
export const CLUSTER_USER = 'waybill';

/** Stored with the data, to start and reach its server again. */
export interface ClusterSecrets {
  readonly password: string;
  /** Last port; reused if it is free. 0 for none yet. */
  readonly port: number;
  /** Process that started the server last. */
  readonly ownerPid: number;
}

/** A data directory and the means to run programs on it. */
export interface Cluster {
  /** PGDATA, absolute. */
  readonly data: string;
  readonly user: UnprivilegedUser | undefined;
  readonly version: PostgresVersion;
  readonly binaries: NativeBinaries;
  /** What to pass as `-D` to a program whose working directory is `data`. */
  readonly dataArgument: string;
  /** Removed when the server stops. */
  readonly temporary: boolean;
}

/** Options of `spawn` for a program that works in the data directory. */
export function programOptions(user: UnprivilegedUser | undefined, cwd: string) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  return {
    cwd,
    // A separate session: Ctrl-C in a terminal must not stop the server before its clients.
    detached: true,
    windowsHide: true,
    env: { ...Object.fromEntries(inherited), LC_ALL: 'C' },
    ...user,
  };
}

/**
 * Opens the data directory in `folder`, and creates it if necessary.
 * @throws TestingError PLATFORM_UNSUPPORTED, BINARIES_UNAVAILABLE, BINARIES_UNUSABLE, DATA_DIRECTORY_UNUSABLE,
 *   SERVER_START_FAILED
 */
export async function openCluster(
  folder: string,
  version: PostgresVersion,
  temporary: boolean,
  lifeline: Lifeline,
): Promise<Cluster> {
  const data = join(folder, 'data');
  const user = unprivilegedUser(await stat(data).catch(() => undefined));
  const binaries = await prepareBinaries(version, user, lifeline);
  const dataArgument = (await dataArgumentFor(folder, user)) ?? data;
  const cluster = { data, user, version, binaries, dataArgument, temporary };
  if (!(await exists(join(data, 'PG_VERSION')))) await createCluster(folder, cluster, lifeline);
  return cluster;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw new TestingError(
      'DATA_DIRECTORY_UNUSABLE',
      `The data directory ${path} cannot be read, because it belongs to another user. Remove it, or choose another data directory.`,
      { cause: error },
    );
  }
}

async function dataArgumentFor(
  folder: string,
  user: UnprivilegedUser | undefined,
): Promise<string | undefined> {
  if (user === undefined || (await isReachableByAll(folder))) return undefined;
  if (process.platform === 'linux') return DETOUR;
  throw new TestingError(
    'DATA_DIRECTORY_UNUSABLE',
    `PostgreSQL does not run as root, and user id ${user.uid} cannot enter ${folder}. ` +
      `Choose a data directory that all users can enter. ${USE_DATABASE_URL}`,
  );
}

/** Built under another name, then renamed: two at the same time create one cluster, a killed one none. */
async function createCluster(folder: string, cluster: Cluster, lifeline: Lifeline): Promise<void> {
  const staging = join(folder, `data.${randomBytes(6).toString('hex')}`);
  const password = randomBytes(24).toString('base64url');
  lifeline.remove(staging);
  await mkdir(staging, { mode: 0o700 });
  try {
    await give(staging, cluster.user);
    await runInitdb(staging, password, cluster, lifeline);
    await writeSecrets(staging, cluster.user, { password, port: 0, ownerPid: process.pid });
    await rename(staging, cluster.data);
  } catch (error) {
    if (!(await exists(join(cluster.data, 'PG_VERSION')))) throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function give(path: string, user: UnprivilegedUser | undefined): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid);
}

async function runInitdb(
  staging: string,
  password: string,
  cluster: Cluster,
  lifeline: Lifeline,
): Promise<void> {
  const secretFolder = await newTemporaryPath('initdb', cluster.user);
  lifeline.remove(secretFolder);
  await mkdir(secretFolder, { mode: 0o700 });
  try {
    const passwordFile = join(secretFolder, 'password');
    await writeFile(passwordFile, password, { mode: 0o600 });
    await give(passwordFile, cluster.user);
    await give(secretFolder, cluster.user);
    const data = cluster.dataArgument === DETOUR ? DETOUR : staging;
    const args = ['-D', data, '-U', CLUSTER_USER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
    args.push('--encoding=UTF8', ...locale(cluster.version));
    if (cluster.temporary) args.push('--no-sync');
    const options = programOptions(cluster.user, staging);
    const { failure, output } = await runToEnd(cluster.binaries.initdb, args, options, lifeline);
    if (failure !== '') throw initFailed(failure, output);
  } finally {
    await rm(secretFolder, { recursive: true, force: true });
  }
}

/** The same collation on every machine, whatever its locale. The built-in provider knows letters beyond ASCII as well. */
function locale(version: PostgresVersion): string[] {
  if (version < 17) return ['--locale=C'];
  return ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
}

function initFailed(ended: string, output: string): TestingError {
  const nameless = output.includes('could not look up effective user ID');
  return new TestingError(
    nameless ? 'PLATFORM_UNSUPPORTED' : 'SERVER_START_FAILED',
    `The embedded PostgreSQL could not be set up (initdb ${ended}): ${output.trim().slice(-1_000)}. ` +
      (nameless ? 'Run as a user that is in /etc/passwd. ' : '') +
      USE_DATABASE_URL,
  );
}

function secretsPath(data: string): string {
  return join(data, 'waybill.json');
}

/** @throws TestingError DATA_DIRECTORY_UNUSABLE when the directory was not created by this launcher */
export async function readSecrets(data: string): Promise<ClusterSecrets> {
  try {
    return JSON.parse(await readFile(secretsPath(data), 'utf8'));
  } catch (cause) {
    throw new TestingError(
      'DATA_DIRECTORY_UNUSABLE',
      `The data directory ${data} was not set up by Waybill's launcher. Remove it, or choose another data directory.`,
      { cause },
    );
  }
}

export async function writeSecrets(
  data: string,
  user: UnprivilegedUser | undefined,
  secrets: ClusterSecrets,
): Promise<void> {
  const staging = `${secretsPath(data)}.${randomBytes(6).toString('hex')}`;
  // Exclusive: root must not follow a link that another process of the unprivileged user put there.
  const file = await open(staging, 'wx', 0o600);
  try {
    await file.writeFile(JSON.stringify(secrets));
    if (user !== undefined) await file.chown(user.uid, user.gid);
  } finally {
    await file.close();
  }
  await rename(staging, secretsPath(data));
}

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { TestingError, USE_DATABASE_URL } from '../testing-error.js';

/** The user as which PostgreSQL runs when this process is root's, which PostgreSQL refuses. */
export interface UnprivilegedUser {
  readonly uid: number;
  readonly gid: number;
}

/** Ids of "nobody" on nearly every system. */
const NOBODY: UnprivilegedUser = { uid: 65_534, gid: 65_534 };

/**
 * The user to run the server as, or undefined when this process's own is suitable.
 * @param dataOwner owner of an existing data directory, who keeps it
 */
export function unprivilegedUser(dataOwner?: UnprivilegedUser): UnprivilegedUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (dataOwner !== undefined && dataOwner.uid !== 0) return dataOwner;
  // initdb requires a user with a name; "nobody" is not 65534 everywhere.
  const users = readUsers();
  if ([...users.values()].some((user) => user.uid === NOBODY.uid)) return NOBODY;
  return users.get('nobody') ?? users.get('daemon') ?? NOBODY;
}

function readUsers(): Map<string, UnprivilegedUser> {
  const users = new Map<string, UnprivilegedUser>();
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const [name = '', , uid, gid] = line.split(':');
      if (Number(uid) > 0) users.set(name, { uid: Number(uid), gid: Number(gid) });
    }
  } catch {
    // No such file: the numeric default has to do.
  }
  return users;
}

/** Whether all users can enter and read a path, judging by its mode and those of the folders above. */
export async function isReachableByAll(path: string): Promise<boolean> {
  const absolute = resolve(path);
  if (((await stat(absolute)).mode & 0o005) !== 0o005) return false;
  for (let folder = dirname(absolute); ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** A folder for temporary files that the user of the server can enter. */
export async function temporaryRoot(user: UnprivilegedUser | undefined): Promise<string> {
  if (user === undefined) return tmpdir();
  for (const folder of [tmpdir(), '/tmp', '/var/tmp']) {
    if (await isReachableByAll(folder).catch(() => false)) return folder;
  }
  throw new TestingError(
    'DATA_DIRECTORY_UNUSABLE',
    `No folder for temporary files can be entered by user id ${user.uid}, as which PostgreSQL has to run. ` +
      `Set TMPDIR to one that all users can enter. ${USE_DATABASE_URL}`,
  );
}

/**
 * A path for a temporary folder that does not exist yet. The name is chosen before the folder is created, so that its
 * removal can be arranged first.
 */
export async function newTemporaryPath(purpose: string, user: UnprivilegedUser | undefined): Promise<string> {
  const root = await realpath(await temporaryRoot(user));
  return join(root, `waybill-${purpose}-${randomBytes(6).toString('hex')}`);
}

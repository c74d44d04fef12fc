import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnScript, type ScriptProcess } from '../src/index.js';
import { unprivilegedUser } from '../src/postgres/unprivileged-user.js';
import { heldServer, untilGone } from './support/processes.js';
import { copyProject } from './support/project-copy.js';
import { queryValue } from './support/query.js';

const ordinary = unprivilegedUser();
if (ordinary === undefined)
  process.stderr.write(
    'Tests that need root (other users, a folder closed to them) are skipped: the tests do not run as root.\n',
  );
const describeForRoot = ordinary === undefined ? describe.skip : describe;
let root: string;
let project: string;
let tmp: string;
const parents: ScriptProcess[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waybill test anywhere '));
  project = join(root, 'a project');
  // Nothing is in the cache of a machine on which this never ran.
  tmp = join(root, 'separate tmp');
  await mkdir(project);
  await mkdir(tmp);
  await chmod(root, 0o755);
  await chmod(tmp, 0o777);
});

afterEach(async () => {
  parents.splice(0).forEach((parent) => parent.kill());
  await rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

function hold(
  copy: { packageRoot: string; script: string },
  options: object,
  user = ordinary,
): ScriptProcess {
  const parent = spawnScript(copy.script, {
    args: [JSON.stringify(options)],
    env: { PACKAGE_ROOT: copy.packageRoot, TMPDIR: tmp, HOME: tmp },
    cwd: project,
    ...(user === undefined ? {} : { user }),
  });
  parents.push(parent);
  return parent;
}

/** As `chown -R` does, which a machine with Node alone need not have. */
async function giveTo(user: { uid: number; gid: number }, folder: string): Promise<void> {
  await chown(folder, user.uid, user.gid);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
    await chown(join(entry.parentPath, entry.name), user.uid, user.gid);
}

async function end(parent: ScriptProcess, pid: number): Promise<void> {
  parent.kill();
  await untilGone(pid);
}

describe('in a path with spaces, without the links of a postinstall script', () => {
  test('an ordinary user starts a server from their own project', async () => {
    const copy = await copyProject(project);
    const dataDir = join(project, '.waybill', 'data dir');
    if (ordinary !== undefined) await giveTo(ordinary, project);
    const parent = hold(copy, { dataDir });
    const { connectionString, pid, user } = await heldServer(parent);
    expect(user).not.toBe(0);
    expect(await queryValue(connectionString, 'select 1')).toBe('1');
    expect(existsSync(join(dataDir, 'data', 'PG_VERSION'))).toBe(true);
    await end(parent, pid);
  });
});

describeForRoot('as above, when the tests run as root', () => {
  test('an ordinary user starts a server from a project that is read-only for them', async () => {
    const copy = await copyProject(project);
    const parent = hold(copy, {});
    const { connectionString, pid } = await heldServer(parent);
    expect(await queryValue(connectionString, 'select 1')).toBe('1');
    await end(parent, pid);
  });

  test('root starts two at the same time in a project that only root may enter; they run as another user', async () => {
    const copy = await copyProject(project);
    await chmod(project, 0o700);
    const folders = ['one', 'two'].map((name) => join(project, '.waybill', name));
    const started = folders.map((dataDir) => hold(copy, { dataDir }, { uid: 0, gid: 0 }));
    for (const [index, parent] of started.entries()) {
      const { connectionString, pid } = await heldServer(parent);
      await queryValue(connectionString, 'create table kept as select 7 as n');
      expect((await stat(`/proc/${pid}`)).uid).toBe(ordinary?.uid);
      await end(parent, pid);
      expect(existsSync(join(folders[index] ?? '', 'data', 'PG_VERSION'))).toBe(true);
    }
    // One copy of the binaries for both, and no remains of the race for it.
    expect(await readdir(tmp)).toHaveLength(1);

    const again = hold(copy, { dataDir: folders[0] }, { uid: 0, gid: 0 });
    const { connectionString, pid } = await heldServer(again);
    expect(await queryValue(connectionString, 'select n from kept')).toBe('7');
    await end(again, pid);
  });
});

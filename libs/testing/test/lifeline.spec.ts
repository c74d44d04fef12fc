import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { spawnScript, startPostgres, waitUntil } from '../src/index.js';
import {
  fixture,
  heldServer,
  isRunning,
  PACKAGE_ROOT,
  processesWith,
  untilGone,
} from './support/processes.js';
import { busySession, queryValue } from './support/query.js';

const GONE_WITHIN_MS = 2_000;
const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill test lifeline '));
  folders.push(folder);
  return folder;
}

afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

describe('a server whose parent ends', () => {
  test.each(['SIGKILL', 'SIGTERM'] as const)(
    'ends soon after %s, and its data are removed',
    async (signal) => {
      const parent = spawnScript(fixture('hold-server.mjs'), { env: { PACKAGE_ROOT } });
      const { pid, dataDir, connectionString } = await heldServer(parent);
      const busy = await busySession(connectionString);
      parent.kill(signal);
      await parent.exited;
      await untilGone(pid, GONE_WITHIN_MS);
      await waitUntil(() => !existsSync(dataDir), {
        describe: `the removal of ${dataDir}`,
        timeoutMs: GONE_WITHIN_MS,
      });
      expect(await busy.ended).toMatch(/terminat/i);
    },
  );

  test('in the middle of its creation ends too', async () => {
    const tmp = await newFolder();
    await chmod(tmp, 0o755);
    const parent = spawnScript(fixture('hold-server.mjs'), { env: { PACKAGE_ROOT, TMPDIR: tmp } });
    const creating = async (): Promise<boolean> => {
      const [folder] = (await readdir(tmp)).filter((name) => name.startsWith('waybill-postgres-'));
      return folder !== undefined && (await readdir(join(tmp, folder))).length > 0;
    };
    await waitUntil(creating, { describe: 'the start of initdb', intervalMs: 5 });
    parent.kill('SIGKILL');
    await parent.exited;
    // Only the binaries may stay, copied for the next run when root runs in a project that others cannot enter.
    const remains = async (): Promise<string[]> =>
      (await readdir(tmp)).filter((name) => !/^waybill-.*-beta\.\d+-0$/.test(name));
    await waitUntil(async () => (await remains()).length === 0, {
      describe: () => `nothing of the server in ${tmp}: ${readdirSync(tmp).join(', ')}`,
      timeoutMs: 5_000,
    });
    await waitUntil(() => processesWith(tmp).length === 0, { describe: `no process that works in ${tmp}` });
  });

  test('leaves a permanent data directory that the next server can use immediately', async () => {
    const dataDir = await newFolder();
    const parent = spawnScript(fixture('hold-server.mjs'), {
      env: { PACKAGE_ROOT },
      args: [JSON.stringify({ dataDir })],
    });
    const { connectionString } = await heldServer(parent);
    await queryValue(connectionString, 'create table kept as select 7 as n');
    parent.kill('SIGKILL');
    await parent.exited;
    const next = await startPostgres({ dataDir });
    try {
      const url = new URL(connectionString);
      url.port = String(next.port);
      expect(await queryValue(url.toString(), 'select n from kept')).toBe('7');
    } finally {
      await next.stop();
    }
  });
});

test('Ctrl-C, which reaches the whole process group, leaves the server to its parent', async () => {
  const parent = spawnScript(fixture('hold-server.mjs'), { ownGroup: true, env: { PACKAGE_ROOT } });
  const { pid } = await heldServer(parent);

  process.kill(-parent.pid, 'SIGINT');
  const [answer] = await parent.waitForLine(/^answers|^silent.*/);
  expect(answer).toBe('answers');
  expect(isRunning(pid)).toBe(true);

  process.kill(-parent.pid, 'SIGKILL');
  await untilGone(pid, GONE_WITHIN_MS);
});

test.each(['running', 'paused'])(
  'a %s script of a test ends with the process that started it',
  async (state) => {
    const parent = spawnScript(fixture('parent-of-script.mjs'), { env: { PACKAGE_ROOT }, args: [state] });
    const [, child] = await parent.waitForLine(/^child (\d+)$/);
    expect(isRunning(Number(child))).toBe(true);
    parent.kill('SIGKILL');
    await untilGone(Number(child));
  },
);

import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isSystemError } from '../process/system-error.js';
import { TestingError } from '../testing-error.js';

/** The content of a running server's `postmaster.pid`. */
export interface PostmasterFile {
  readonly pid: number;
  readonly ready: boolean;
}

/**
 * The working directory of the process that resolves it, without passing the folders above it. So the server of an
 * unprivileged user can work in a project inside a folder that only root may enter. Linux only.
 */
export const DETOUR = '/proc/self/cwd';

const PID_LINE = 0;
const STATUS_LINE = 7;
/**
 * A server whose owner has ended is stopped by the owner's lifeline, which has this much time before we stop the
 * server.
 */
const ORPHAN_GRACE_MS = 3_000;
const ORPHAN_STOP_MS = 7_000;
const POLL_MS = 20;

export function postmasterFilePath(data: string): string {
  return join(data, 'postmaster.pid');
}

/** Undefined when there is no server, or it has not written the file yet. */
export async function readPostmasterFile(data: string): Promise<PostmasterFile | undefined> {
  const lines = (await readFile(postmasterFilePath(data), 'utf8').catch(() => '')).split('\n');
  const pid = Number.parseInt(lines[PID_LINE] ?? '', 10);
  return pid > 0 ? { pid, ready: lines[STATUS_LINE]?.trim() === 'ready' } : undefined;
}

/**
 * Prepares a data directory that a crash may have left for a new server: an orphan is stopped, a pid file
 * whose number now belongs to another program is removed.
 * @param ownerPid process that started the last server
 * @throws TestingError DATA_DIRECTORY_IN_USE
 */
export async function clearStaleServer(data: string, ownerPid: number | undefined): Promise<void> {
  const file = await readPostmasterFile(data);
  if (file === undefined) return;
  if (!(await isServerOf(file.pid, data))) {
    await rm(postmasterFilePath(data), { force: true });
    return;
  }
  if (ownerPid !== undefined && isAlive(ownerPid)) throw inUse(data, ownerPid);
  if (await endsWithin(file.pid, data, ORPHAN_GRACE_MS)) return;
  process.kill(file.pid, 'SIGQUIT');
  if (!(await endsWithin(file.pid, data, ORPHAN_STOP_MS))) throw inUse(data, file.pid);
}

function inUse(data: string, pid: number): TestingError {
  return new TestingError(
    'DATA_DIRECTORY_IN_USE',
    `The data directory ${data} is in use by process ${pid}. Stop it, or choose another data directory.`,
  );
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isSystemError(error, 'EPERM');
  }
}

async function endsWithin(pid: number, data: string, ms: number): Promise<boolean> {
  for (const until = Date.now() + ms; Date.now() < until; await delay(POLL_MS)) {
    if (!(await isServerOf(pid, data))) return true;
  }
  return false;
}

/** Process ids are reused, quickly so in containers: only a server that was started on this very folder counts. */
async function isServerOf(pid: number, data: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === 'win32') return true;
  const command = await commandLineOf(pid);
  return command.includes('postgres') && [data, DETOUR].some((folder) => command.includes(` -D ${folder} `));
}

async function commandLineOf(pid: number): Promise<string> {
  // Not by the working directory, which root may not read in a container without CAP_SYS_PTRACE.
  if (process.platform === 'linux') {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
  }
  const shown = promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', String(pid)]);
  return (await shown.catch(() => ({ stdout: '' }))).stdout;
}

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { waitUntil, type ScriptProcess } from '../../src/index.js';

export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url));

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** What fixtures/hold-server.mjs prints when its server is up. */
export interface HeldServer {
  readonly connectionString: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly port: number;
  readonly user: number;
}

export async function heldServer(parent: ScriptProcess): Promise<HeldServer> {
  const line = await parent.waitForLine(/^\{.*\}$/, { timeoutMs: 30_000 });
  return JSON.parse(line[0]);
}

/** False also for a dead process that PID 1 of a container has not collected. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

/** Linux only: running processes whose command line holds this text. */
export function processesWith(text: string): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Boolean);
  return pids.filter((pid) => pid !== process.pid && commandLine(pid).includes(text));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export async function untilGone(pid: number, timeoutMs = 3_000): Promise<void> {
  await waitUntil(() => !isRunning(pid), { describe: `the end of process ${pid}`, timeoutMs });
}

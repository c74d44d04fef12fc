/**
 * Runs child processes so that none outlives this one: signals are passed on once, and a lifeline process ends the
 * children when this one is killed. Node's own modules only, as this runs before anything is installed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('..', import.meta.url));

const LIFELINE = fileURLToPath(new URL('../libs/testing/bin/lifeline.mjs', import.meta.url));
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** One Ctrl-C arrives several times: from the terminal and from npm. Only a later one counts as a second. */
const SAME_WISH_MS = 2_000;
const CHILD_GRACE_MS = 5_000;
const PARENT_POLL_MS = 250;

const children = new Set();
let wish;
let lifeline;

/** Thrown to end the run when a signal has stopped a child of the set-up. */
export class Interrupted extends Error {
  constructor(signal) {
    super(`interrupted by ${signal}`);
    this.exitCode = exitCodeOf(null, signal);
  }
}

/** Call once, before the first child. */
export function takeSignals() {
  for (const signal of SIGNALS) process.on(signal, () => passOn(signal));
  watchParent();
}

/** @returns {Promise<number>} the child's exit code; 128 and the signal's number when a signal ended it */
export async function run(command, args, { env, stdio = 'inherit' } = {}) {
  const { code } = await runToEnd(command, args, { env, stdio });
  return code;
}

/** @returns {Promise<{ code: number, output: string }>} with the output of both streams */
export async function capture(command, args, { env } = {}) {
  const result = await runToEnd(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  if (wish !== undefined) throw new Interrupted(wish.signal);
  return result;
}

/** Releases the lifeline; nothing is left afterwards. */
export async function endLifeline() {
  if (lifeline === undefined || lifeline.exitCode !== null) return;
  lifeline.ref();
  lifeline.stdin.end();
  await once(lifeline, 'exit');
}

async function runToEnd(command, args, { env, stdio }) {
  if (wish !== undefined) throw new Interrupted(wish.signal);
  const child = spawn(command, args, {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio,
    // A separate process group: a Ctrl-C of the terminal reaches it once, through us, and all of its processes can be
    // ended.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  const chunks = [];
  child.stdout?.on('data', (chunk) => chunks.push(chunk));
  child.stderr?.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => resolve(exitCodeOf(exitCode, signal)));
  });
  const release = guard(child);
  try {
    const code = await ended;
    return { code, output: Buffer.concat(chunks).toString() };
  } finally {
    release();
  }
}

/** Until it is released, signals are passed on to the child, which is ended when this process ends. */
function guard(child) {
  const { pid } = child;
  // It could not be started; its error has the reason.
  if (pid === undefined) return () => {};
  children.add(child);
  tellLifeline({ watch: pid, signal: 'SIGTERM', graceMs: CHILD_GRACE_MS, group: true });
  return () => {
    children.delete(child);
    if (process.platform !== 'win32') signalTo(-pid, 'SIGKILL');
    tellLifeline({ forget: pid });
  };
}

function exitCodeOf(code, signal) {
  return code ?? 128 + (constants.signals[signal] ?? 0);
}

/** The signal that was passed on, if any. */
export function interruption() {
  return wish?.signal;
}

function passOn(signal) {
  const now = Date.now();
  if (wish !== undefined && now - wish.at < SAME_WISH_MS) return;
  const insisted = wish !== undefined;
  wish = { signal, at: now };
  for (const child of children) {
    if (insisted && process.platform !== 'win32') signalTo(-child.pid, 'SIGKILL');
    else child.kill(insisted ? 'SIGKILL' : signal);
  }
  if (children.size === 0) void endLifeline().then(() => process.exit(exitCodeOf(null, signal)));
}

function signalTo(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

function tellLifeline(command) {
  if (lifeline === undefined) {
    lifeline = spawn(process.execPath, [LIFELINE], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
      windowsHide: true,
    });
    lifeline.on('error', () => {});
    lifeline.stdin.on('error', () => {});
    lifeline.unref();
    lifeline.stdin.unref();
  }
  lifeline.stdin.write(`${JSON.stringify(command)}\n`);
}

/** `kill -9` of npm sends no notice: its children have to detect it. Without npm the parent may end at any time. */
function watchParent() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const before = ancestors();
  const timer = setInterval(() => {
    if (ancestors() !== before) passOn('SIGTERM');
  }, PARENT_POLL_MS);
  timer.unref();
}

/** The parent, and npm above it when the parent is the shell that npm started. */
function ancestors() {
  const parent = process.ppid;
  if (process.platform !== 'linux') return String(parent);
  try {
    const shell = readFileSync(`/proc/${parent}/cmdline`, 'utf8').split('\0')[1] === '-c';
    const [, , above] = /\) (\S) (\d+)/.exec(readFileSync(`/proc/${parent}/stat`, 'utf8'));
    return shell ? `${parent} ${above}` : String(parent);
  } catch {
    return 'none';
  }
}

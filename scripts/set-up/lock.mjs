/**
 * Allows one set-up at a time in one clone. The lock is a file with the holder's process id, whose modification time
 * the holder renews; a lock that has not been renewed for a while, or whose holder has ended, is taken over.
 */
import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { interruption, Interrupted, projectRoot } from '../processes.mjs';

const LOCK = join(projectRoot, '.waybill', 'set-up.lock');
const TAKE_OVER = `${LOCK}.take-over`;
const RENEW_MS = 1_000;
const STALE_MS = 20_000;
const POLL_MS = 100;

/** Runs `work` while no other process of this clone runs its own. */
export async function withLock(say, work) {
  mkdirSync(dirname(LOCK), { recursive: true });
  for (let told = false; !acquire(); await delay(POLL_MS)) {
    if (interruption() !== undefined) throw new Interrupted(interruption());
    if (isStale()) takeOver();
    else if (!told) {
      told = true;
      say(`waiting for the set-up by process ${holder()}`);
    }
  }
  const renewal = setInterval(renew, RENEW_MS);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    if (holder() === process.pid) rmSync(LOCK, { force: true });
  }
}

function acquire() {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function renew() {
  const now = new Date();
  try {
    utimesSync(LOCK, now, now);
  } catch {
    // It was removed manually.
  }
}

function holder() {
  try {
    return Number(readFileSync(LOCK, 'utf8'));
  } catch {
    return undefined;
  }
}

function ageOf(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function isStale() {
  if (ageOf(LOCK) > STALE_MS) return true;
  const pid = holder();
  // 0: just created, its number is not written yet.
  return pid !== undefined && pid !== 0 && !isAlive(pid);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/**
 * Under a second lock, held for an instant: two processes that both found it stale must not remove each other's new
 * one.
 */
function takeOver() {
  try {
    mkdirSync(TAKE_OVER);
  } catch {
    if (ageOf(TAKE_OVER) > STALE_MS) rmSync(TAKE_OVER, { recursive: true, force: true });
    return;
  }
  if (isStale()) rmSync(LOCK, { force: true });
  rmdirSync(TAKE_OVER);
}

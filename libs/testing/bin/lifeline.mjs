/**
 * Cleans up after a process that can no longer do so itself. Its standard input is a pipe from that process; the
 * operating system closes the pipe when the process ends, even by `kill -9`. Then everything that was announced is
 * stopped and removed. Started in a separate session, so that Ctrl-C in a terminal does not reach it.
 *
 * One JSON object per line:
 *   {"watch": pid, "signal": "SIGQUIT", "graceMs": 1500, "group": true}   stop this process at the end
 *   {"forget": pid}                                                      it ended, or is now handled elsewhere
 *   {"starting": "<path of postmaster.pid>"}                             a server is about to be started there
 *   {"remove": "<path>"}                                                 delete this file or folder at the end
 */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;
/** Time for a server to write its pid file if its parent crashed right after the fork. */
const PID_FILE_MS = 1_000;

const watched = new Map();
const removals = new Set();
let pidFile;

function obey(command) {
  if (command.watch !== undefined) {
    watched.set(command.watch, command);
    pidFile = undefined;
  }
  if (command.forget !== undefined) watched.delete(command.forget);
  if (command.starting !== undefined) pidFile = command.starting;
  if (command.remove !== undefined) removals.add(command.remove);
}

function signalTo(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** A dead process that its new parent, PID 1 of a container, has not collected yet holds nothing any more. */
function isGone(pid) {
  if (!signalTo(pid, 0)) return true;
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function endsWithin(pid, ms) {
  for (const until = Date.now() + ms; Date.now() < until; await delay(POLL_MS)) {
    if (isGone(pid)) return true;
  }
  return false;
}

async function stopWatched({ watch: pid, signal, graceMs, group }) {
  if (signalTo(pid, signal) && !(await endsWithin(pid, graceMs))) signalTo(pid, 'SIGKILL');
  if (group === true && process.platform !== 'win32') signalTo(-pid, 'SIGKILL');
}

async function findStartingServer() {
  for (const until = Date.now() + PID_FILE_MS; Date.now() < until; await delay(POLL_MS)) {
    try {
      const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
      if (pid > 0) return pid;
    } catch {
      // Not written yet.
    }
  }
  return undefined;
}

async function cleanUp() {
  if (pidFile !== undefined) {
    const pid = await findStartingServer();
    if (pid !== undefined) watched.set(pid, { watch: pid, signal: 'SIGQUIT', graceMs: 1_500 });
  }
  await Promise.all([...watched.values()].map(stopWatched));
  // Processes of a killed server may still write for a moment: hence the retries.
  const options = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 };
  await Promise.allSettled([...removals].map((path) => rm(path, options)));
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => obey(JSON.parse(line)));
lines.on('close', () => void cleanUp());
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.on('SIGTERM', () => lines.close());

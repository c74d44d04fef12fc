import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { programOptions, type Cluster } from '../postgres/cluster.js';
import type { Lifeline } from './lifeline.js';
import { postmasterFilePath, readPostmasterFile } from '../postgres/postmaster-file.js';
import { TestingError, USE_DATABASE_URL } from '../testing-error.js';

const READY_POLL_MS = 10;
const READY_TIMEOUT_MS = 60_000;
/** PostgreSQL itself kills its children after 5 s of an immediate shutdown. */
const IMMEDIATE_GRACE_MS = 6_000;
const FAST_GRACE_MS = 30_000;
const LIFELINE_GRACE_MS = 1_500;

/** One life of a postmaster. */
export class ServerProcess {
  /** Resolves when the process has ended. */
  readonly exited: Promise<void>;
  private gone = false;

  private constructor(
    private readonly child: ChildProcess,
    lifeline: Lifeline,
  ) {
    this.exited = new Promise((resolve) => {
      const end = (): void => {
        this.gone = true;
        if (child.pid !== undefined) lifeline.forget(child.pid);
        resolve();
      };
      child.on('exit', end);
      child.on('error', end);
    });
  }

  /**
   * Starts the server and waits until it accepts connections.
   * @throws ServerExitError when it ended earlier
   */
  static async start(
    cluster: Cluster,
    args: readonly string[],
    logFile: string,
    lifeline: Lifeline,
  ): Promise<ServerProcess> {
    const log = await open(logFile, 'a');
    try {
      const logStart = (await log.stat()).size;
      lifeline.announceStart(postmasterFilePath(cluster.data));
      const child = spawn(cluster.binaries.postgres, ['-D', cluster.dataArgument, ...args], {
        ...programOptions(cluster.user, cluster.data),
        stdio: ['ignore', log.fd, log.fd],
      });
      const server = new ServerProcess(child, lifeline);
      if (child.pid !== undefined) {
        lifeline.watch(child.pid, { signal: 'SIGQUIT', graceMs: LIFELINE_GRACE_MS });
      }
      await server.untilReady(cluster.data, logFile, logStart);
      child.unref();
      return server;
    } finally {
      await log.close();
    }
  }

  /** Undefined when it has ended. */
  get pid(): number | undefined {
    return this.gone ? undefined : this.child.pid;
  }

  /** Sends a signal and waits for the end; a process that does not end is killed. */
  async end(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    this.child.ref();
    const ladder = ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const;
    const grace = { SIGINT: FAST_GRACE_MS, SIGQUIT: IMMEDIATE_GRACE_MS, SIGKILL: IMMEDIATE_GRACE_MS };
    for (const step of ladder.slice(ladder.indexOf(signal))) {
      if (this.gone) return;
      this.child.kill(step);
      if (await this.exitsWithin(grace[step])) return;
    }
  }

  private async exitsWithin(ms: number): Promise<boolean> {
    const timer = new AbortController();
    const timeout = delay(ms, false, { signal: timer.signal }).catch(() => true);
    const exited = await Promise.race([this.exited.then(() => true), timeout]);
    timer.abort();
    return exited;
  }

  private async untilReady(data: string, logFile: string, logStart: number): Promise<void> {
    for (const until = Date.now() + READY_TIMEOUT_MS; !this.gone; await delay(READY_POLL_MS)) {
      const file = await readPostmasterFile(data);
      if (file?.pid === this.child.pid && file?.ready === true) return;
      if (Date.now() > until) await this.end('SIGKILL');
    }
    const log = (await readFile(logFile)).subarray(logStart).toString();
    throw new ServerExitError(log.trim());
  }
}

/** The server ended while it was being started. */
export class ServerExitError extends TestingError {
  constructor(readonly log: string) {
    super(
      'SERVER_START_FAILED',
      `The embedded PostgreSQL did not start. Its log: ${log.slice(-1_500)}\n` +
        `Correct its settings, or free the resources that it lacks. ${USE_DATABASE_URL}`,
    );
  }

  get portTaken(): boolean {
    return /could not bind|could not create any TCP\/IP sockets/.test(this.log);
  }

  /** Backends of a killed postmaster, or its successor, still hold the data. */
  get dataHeld(): boolean {
    return /pre-existing shared memory block|lock file "postmaster\.pid" already exists/.test(this.log);
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

/** How a watched process is stopped when this process has ended. */
export interface WatchOptions {
  /** Sent first. */
  readonly signal: NodeJS.Signals;
  /** Time after which SIGKILL follows, in milliseconds. */
  readonly graceMs: number;
  /** Whether it leads a process group, of which no process may survive it. Default false. */
  readonly group?: boolean;
}

const SCRIPT = fileURLToPath(new URL('../../bin/lifeline.mjs', import.meta.url));

/**
 * A helper process that outlives this one by moments, to stop processes and remove files that this one left,
 * also after `kill -9`. It never keeps this process alive.
 */
export class Lifeline {
  private constructor(private readonly helper: ChildProcess) {}

  static open(): Lifeline {
    const helper = spawn(process.execPath, [SCRIPT], {
      // A separate session: Ctrl-C in a terminal must not end the process that cleans up after Ctrl-C.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: process.platform === 'win32' ? undefined : '/',
      // NODE_OPTIONS could hold a debugger's port or a loader of the parent.
      env: { ...process.env, NODE_OPTIONS: '' },
      windowsHide: true,
    });
    // A helper that has ended protects nothing, but must not end this process either.
    helper.on('error', () => undefined);
    helper.stdin?.on('error', () => undefined);
    helper.unref();
    if (helper.stdin instanceof Socket) helper.stdin.unref();
    return new Lifeline(helper);
  }

  watch(pid: number, options: WatchOptions): void {
    this.tell({ watch: pid, ...options });
  }

  forget(pid: number): void {
    this.tell({ forget: pid });
  }

  /** Covers the gap between the start of a server and `watch`, in which the helper finds it by its pid file. */
  announceStart(pidFile: string): void {
    this.tell({ starting: pidFile });
  }

  remove(path: string): void {
    this.tell({ remove: path });
  }

  /** Makes the helper clean up now; resolves when it has ended. */
  async close(): Promise<void> {
    if (this.helper.exitCode !== null || this.helper.signalCode !== null) return;
    const gone = once(this.helper, 'exit');
    this.helper.ref();
    this.helper.stdin?.end();
    await gone;
  }

  private tell(command: object): void {
    this.helper.stdin?.write(`${JSON.stringify(command)}\n`);
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Lifeline } from './lifeline.js';
import { withPatience } from '../patience.js';
import { TestingError } from '../testing-error.js';

/** Options of a test's script in a separate process. */
export interface SpawnScriptOptions {
  readonly args?: readonly string[];
  /** Added to this process' environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Options of Node itself, for example `--import`. */
  readonly nodeArgs?: readonly string[];
  /** In a separate process group, like a terminal's job, to be signalled as a whole. Default false. */
  readonly ownGroup?: boolean;
  /** Run as another user; needs root. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

/** How a script ended; one of the two is null. */
export interface ScriptExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Where and how long to look for a line. */
export interface WaitForLineOptions {
  /** Default 15,000; the environment variable WAYBILL_PATIENCE (1 to 100) multiplies it, for slow machines. */
  readonly timeoutMs?: number;
  /** Number of the first line to check, for example an earlier `lineCount`. Default 0: lines already printed count. */
  readonly from?: number;
}

/** A wait for a line. */
interface Waiter {
  look(line: string, number: number): void;
  fail(why: string): void;
}

const KEPT_LINES = 5_000;
const SHOWN_LINES = 60;
/** How long output that grandchildren hold open may delay `exited`. */
const OUTPUT_GRACE_MS = 500;

/** Ends the scripts when this process ends, also by `kill -9`; Jest gives tests no real `exit` event. */
let lifeline: Lifeline | undefined;

/** A test's script in a separate process, to be killed, paused and read. */
export class ScriptProcess {
  readonly pid: number;
  /** Resolves once the process has ended and its output was read. */
  readonly exited: Promise<ScriptExit>;
  private readonly kept: {
    readonly number: number;
    readonly text: string;
    readonly source: 'out' | 'err';
  }[] = [];
  private readonly waiters = new Set<Waiter>();
  private count = 0;
  private exit: ScriptExit | undefined;

  /** @internal */
  constructor(
    private readonly path: string,
    private readonly child: ChildProcess & {
      readonly pid: number;
      readonly stdout: Readable;
      readonly stderr: Readable;
    },
  ) {
    this.pid = child.pid;
    createInterface({ input: child.stdout }).on('line', (line) => this.take(line, 'out'));
    createInterface({ input: child.stderr }).on('line', (line) => this.take(line, 'err'));
    this.exited = this.untilExit();
  }

  /** Lines of standard output so far. */
  get lineCount(): number {
    return this.count;
  }

  /** The newest lines of standard output. */
  get lines(): readonly string[] {
    return this.kept.filter(({ source }) => source === 'out').map(({ text }) => text);
  }

  /** The newest output of both kinds, for a failure's message. */
  get output(): string {
    const shown = this.kept.slice(-SHOWN_LINES).map(({ source, text }) => `${source}| ${text}`);
    return shown.join('\n');
  }

  /**
   * Waits for a line of standard output.
   * @throws TestingError SCRIPT_FAILED when the script ends without it, WAIT_TIMED_OUT
   */
  waitForLine(pattern: RegExp, options: WaitForLineOptions = {}): Promise<RegExpExecArray> {
    const { from = 0 } = options;
    return new Promise((resolve, reject) => {
      const timeoutMs = withPatience(options.timeoutMs ?? 15_000);
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        act();
      };
      const waiter: Waiter = {
        look: (line, number) => {
          const match =
            number < from ? null : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(line);
          if (match !== null) settle(() => resolve(match));
        },
        fail: (why) =>
          settle(() => reject(this.failure('SCRIPT_FAILED', `${why} without a line ${pattern}`))),
      };
      const late = (): void =>
        settle(() => reject(this.failure('WAIT_TIMED_OUT', `printed no line ${pattern} in ${timeoutMs} ms`)));
      const timer = setTimeout(late, timeoutMs);
      this.waiters.add(waiter);
      for (const { number, text, source } of this.kept) if (source === 'out') waiter.look(text, number);
      if (this.exit !== undefined) waiter.fail(describeExit(this.exit));
    });
  }

  /** Sends a signal; without effect once the process has ended. Await `exited` for the end. Default SIGKILL. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal);
  }

  /** Sends SIGSTOP: suspends the process, with everything that it holds. */
  stop(): void {
    this.child.kill('SIGSTOP');
  }

  /** Sends SIGCONT: resumes the process. */
  cont(): void {
    this.child.kill('SIGCONT');
  }

  private take(text: string, source: 'out' | 'err'): void {
    const number = this.count;
    if (source === 'out') this.count += 1;
    this.kept.push({ number, text, source });
    if (this.kept.length > KEPT_LINES) this.kept.shift();
    if (source === 'out') for (const waiter of this.waiters) waiter.look(text, number);
  }

  private async untilExit(): Promise<ScriptExit> {
    const closed = new Promise<void>((resolve) => this.child.on('close', () => resolve()));
    const exit = await new Promise<ScriptExit>((resolve) =>
      this.child.on('exit', (code, signal) => resolve({ code, signal })),
    );
    lifeline?.forget(this.pid);
    const grace = new AbortController();
    await Promise.race([
      closed,
      delay(OUTPUT_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined),
    ]);
    grace.abort();
    this.exit = exit;
    for (const waiter of this.waiters) waiter.fail(describeExit(exit));
    return exit;
  }

  private failure(code: 'SCRIPT_FAILED' | 'WAIT_TIMED_OUT', what: string): TestingError {
    return new TestingError(
      code,
      `Script ${this.path} (process ${this.pid}) ${what}. Its output:\n${this.output}`,
    );
  }
}

function describeExit({ code, signal }: ScriptExit): string {
  return `ended with ${code ?? signal}`;
}

/**
 * Runs a JavaScript file with this Node in a separate process, which does not outlive this one.
 * @throws TestingError SCRIPT_FAILED when it cannot be started
 */
export function spawnScript(path: string, options: SpawnScriptOptions = {}): ScriptProcess {
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), path, ...(options.args ?? [])], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    detached: options.ownGroup ?? false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.user,
  });
  if (!isRunning(child)) {
    child.on('error', () => undefined);
    throw new TestingError(
      'SCRIPT_FAILED',
      `Script ${path} could not be started. Check its working directory.`,
    );
  }
  lifeline ??= Lifeline.open();
  lifeline.watch(child.pid, { signal: 'SIGKILL', graceMs: 0 });
  return new ScriptProcess(path, child);
}

function isRunning(
  child: ChildProcess,
): child is ChildProcess & { readonly pid: number; readonly stdout: Readable; readonly stderr: Readable } {
  return child.pid !== undefined && child.stdout !== null && child.stderr !== null;
}

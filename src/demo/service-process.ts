import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServiceName } from '../contracts/services.js';
import { ShopError } from '../shop-error.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

const READY_MS = 60_000;
/** Less than the time for which a parent that ends the demo waits. */
const STOP_MS = 3_000;
const KEPT_LINES = 40;

/** One service of the shop in a separate process, which does not outlive this one. */
export class ServiceProcess {
  private child: ChildProcess | undefined;
  private readyUrl: string | undefined;
  private stopped = false;
  private readonly output: string[] = [];

  constructor(
    readonly service: ServiceName,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** The service's URL; undefined while it does not listen. */
  get url(): string | undefined {
    return this.readyUrl;
  }

  /** Whether the process exists. */
  get running(): boolean {
    return this.child !== undefined;
  }

  /**
   * Starts the process and waits until it is ready.
   * @throws ShopError DEMO_SERVICE with the end of its output, when it ends first or takes longer than a minute.
   */
  async start(): Promise<void> {
    if (this.stopped) throw this.failure('was stopped and is not started again');
    // Free ports: two demos may run at the same time. The IPC channel tells the child when this process has ended.
    const env = { ...this.env, SERVICE: this.service, PORT: '0' };
    const child = fork(MAIN, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.keep(text));
    }
    child.once('exit', () => this.forget(child));
    child.once('error', () => this.forget(child));
    const ready = new Promise<void>((resolve) => {
      child.on('message', (message: { url?: string }) => {
        this.readyUrl = message.url;
        resolve();
      });
    });
    const ended = new Promise<'ended'>((resolve) => child.once('exit', () => resolve('ended')));
    const timer = new AbortController();
    const late = delay(READY_MS, 'late' as const, { signal: timer.signal }).catch(() => undefined);
    const outcome = await Promise.race([ready, ended, late]);
    timer.abort();
    if (outcome !== undefined)
      throw this.failure(outcome === 'ended' ? 'ended before it was ready' : 'is not ready');
  }

  /** Sends SIGKILL: the process gets no chance to clean up. Resolves once it has ended. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Lets the process finish its work, then sends SIGKILL after three seconds. It cannot be started again. */
  async stop(): Promise<void> {
    this.stopped = true;
    const timer = setTimeout(() => this.child?.kill('SIGKILL'), STOP_MS);
    await this.end('SIGTERM');
    clearTimeout(timer);
  }

  /** @returns an error with the end of the service's output, which has the reason. */
  failure(what: string): ShopError {
    return new ShopError(
      'DEMO_SERVICE',
      `Service ${this.service} ${what}. Look at the end of its output:\n${this.output.join('\n')}`,
    );
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  private forget(child: ChildProcess): void {
    if (this.child !== child) return;
    this.child = undefined;
    this.readyUrl = undefined;
  }

  private keep(text: string): void {
    this.output.push(...text.split('\n').filter((line) => line.trim() !== ''));
    this.output.splice(0, this.output.length - KEPT_LINES);
  }
}

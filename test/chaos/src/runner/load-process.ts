import { fileURLToPath } from 'node:url';
import { type ScriptProcess, spawnScript, type SpawnScriptOptions } from '@waybill/testing';
import type { Planting } from '../mutants/mutant.js';
import { TcpProxy } from '../faults/tcp-proxy.js';

/** Output that is kept of a process's earlier incarnations. */
const KEPT_INCARNATIONS = 3;

/** The way of a process to a server. */
export interface Way {
  readonly to: 'service' | 'bus';
  readonly proxy: TcpProxy;
}

/** A process of the load, with proxies of its own before the servers. It is started again by {@link restart} only. */
export class LoadProcess {
  #script: ScriptProcess | undefined;
  /** That was asked to end. */
  #ending: ScriptProcess | undefined;
  #incarnation = 0;
  readonly #outputs: string[] = [];
  readonly #deaths: string[] = [];

  private constructor(
    readonly name: string,
    private readonly program: string,
    private readonly settings: (incarnation: number) => Readonly<Record<string, unknown>>,
    readonly ways: readonly Way[],
    private readonly plantings: readonly Planting[],
  ) {}

  /**
   * Makes a process; {@link start} starts it.
   * @param urls of the servers of the services, and of the bus where it has its own
   * @param settings by incarnation, from 1
   * @param plantings what is planted in it
   */
  static async create(
    name: string,
    program: string,
    urls: { readonly service: string; readonly bus: string | undefined },
    settings: (incarnation: number) => Readonly<Record<string, unknown>>,
    plantings: readonly Planting[],
  ): Promise<LoadProcess> {
    const ways: Way[] = [{ to: 'service', proxy: await TcpProxy.start(urls.service) }];
    if (urls.bus !== undefined) ways.push({ to: 'bus', proxy: await TcpProxy.start(urls.bus) });
    return new LoadProcess(name, program, settings, ways, plantings);
  }

  get isRunning(): boolean {
    return this.#script !== undefined;
  }

  /** The output of each incarnation that ended without being asked to. */
  get deaths(): readonly string[] {
    return this.#deaths;
  }

  /** The newest output of its newest incarnations. */
  get output(): string {
    return [...this.#outputs, ...(this.#script?.lines ?? [])].join('\n');
  }

  /** @param skewMs how far its clock is off, in milliseconds. Default 0 */
  async start(skewMs = 0): Promise<void> {
    this.#incarnation += 1;
    // A black hole swallows the connections that there are; where it lasts, a process would be started elsewhere.
    for (const { proxy } of this.ways) proxy.heal();
    const path = fileURLToPath(new URL(`../load/${this.program}.js`, import.meta.url));
    const settings = {
      ...this.settings(this.#incarnation),
      name: `${this.name}.${this.#incarnation}`,
      url: this.#urlTo('service'),
      busServer: this.#urlTo('bus'),
    };
    const script = spawnScript(path, { args: [JSON.stringify(settings)], ...this.#preloaded(skewMs) });
    this.#script = script;
    void script.exited.then(({ code, signal }) => {
      if (this.#ending === script) return;
      this.#deaths.push(
        `${settings.name} ended by itself (${signal ?? `exit code ${code}`}):\n${script.output}`,
      );
    });
    await script.waitForLine(/^ready/, { timeoutMs: 60_000 });
  }

  /** What is loaded before the program: plantings, a clock that is off. */
  #preloaded(skewMs: number): SpawnScriptOptions {
    const modules: string[] = [];
    const env: Record<string, string> = {};
    if (this.plantings.length > 0) {
      modules.push('../mutants/register.js');
      env['WAYBILL_CHAOS_PLANTINGS'] = JSON.stringify(this.plantings);
    }
    if (skewMs !== 0) {
      modules.push('../load/skewed-clock.js');
      env['WAYBILL_CHAOS_SKEW_MS'] = String(skewMs);
    }
    return { env, nodeArgs: modules.flatMap((one) => ['--import', new URL(one, import.meta.url).href]) };
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGUSR2' | 'SIGHUP'): void {
    this.#script?.kill(signal);
  }

  /** Kills it, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#ending = this.#script;
    this.signal('SIGKILL');
    await this.#gone();
  }

  /** Asks it to stop, as a deployment does. @throws Error when it does not within a minute */
  async stop(): Promise<void> {
    const script = this.#script;
    if (script === undefined) return;
    this.#ending = script;
    script.kill('SIGTERM');
    const limit = AbortSignal.timeout(60_000);
    const late = new Promise<'late'>((resolve) => limit.addEventListener('abort', () => resolve('late')));
    if ((await Promise.race([script.exited, late])) === 'late') {
      const { output } = this;
      await this.kill();
      throw new Error(`${this.name} did not stop within a minute of SIGTERM:\n${output}`);
    }
    await this.#gone();
  }

  async close(): Promise<void> {
    await this.kill();
    await this.closeWays();
  }

  async closeWays(): Promise<void> {
    await Promise.all(this.ways.map(({ proxy }) => proxy.close()));
  }

  #urlTo(server: Way['to']): string | undefined {
    return this.ways.find(({ to }) => to === server)?.proxy.url;
  }

  async #gone(): Promise<void> {
    const script = this.#script;
    if (script === undefined) return;
    await script.exited;
    this.#outputs.push(script.lines.join('\n'));
    this.#outputs.splice(0, Math.max(0, this.#outputs.length - KEPT_INCARNATIONS));
    this.#script = undefined;
  }
}

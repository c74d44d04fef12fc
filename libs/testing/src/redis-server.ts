import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { choosePort } from './process/choose-port.js';
import { Lifeline } from './process/lifeline.js';
import { TestingError } from './testing-error.js';

/** A Redis for tests: a server started by this process, or that of REDIS_URL. */
export interface RedisServer {
  readonly url: string;
  /** True when it is that of REDIS_URL, which is not stopped or killed by Waybill. */
  readonly external: boolean;
  /** Process id of the running server; undefined while it is down, or external. */
  readonly pid: number | undefined;
  /** Starts a server that was killed, empty and on the same port. No-op while it runs. */
  start(): Promise<void>;
  /** Sends SIGKILL: all its data are lost. @throws TestingError SERVER_EXTERNAL */
  kill(): Promise<void>;
  /** Kills it and starts it again. @throws TestingError SERVER_EXTERNAL */
  restart(): Promise<void>;
  /** Suspends it by SIGSTOP; its connections stay open. @throws TestingError SERVER_EXTERNAL */
  pause(): void;
  /** Resumes it after {@link pause}. */
  resume(): void;
  /** Runs one command and returns the raw response, for FLUSHALL, CONFIG, DEBUG and INFO. */
  command(...words: readonly string[]): Promise<string>;
  /** Stops it. No-op when it is not running, and for an external one. */
  stop(): Promise<void>;
}

const PROGRAM = 'redis-server';
const READY_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
const COMMAND_TIMEOUT_MS = 5_000;

/** Whether {@link startRedis} can work: REDIS_URL is set, or a redis-server is on the PATH. */
export function redisIsAvailable(): boolean {
  if ((process.env['REDIS_URL'] ?? '') !== '') return true;
  return spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * A redis-server from the PATH on a free port of 127.0.0.1, without persistence, which ends with this process, however
 * that ends; or the server of REDIS_URL if set.
 * @param settings as on the command line, without the dashes: `{ maxmemory: '10mb' }`
 * @throws TestingError REDIS_MISSING, SERVER_START_FAILED
 */
export async function startRedis(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
  const url = process.env['REDIS_URL'];
  if (url !== undefined && url !== '') return new ExternalRedis(url);
  if (!redisIsAvailable()) {
    throw new TestingError(
      'REDIS_MISSING',
      'There is no redis-server on the PATH. Install it (apt-get install redis-server, brew install redis), or set REDIS_URL.',
    );
  }
  const server = new OwnRedis(Number(settings['port'] ?? 0) || (await choosePort(0)), settings);
  await server.start();
  return server;
}

class OwnRedis implements RedisServer {
  readonly external = false;
  readonly url: string;
  private child: ChildProcess | undefined;
  private lifeline: Lifeline | undefined;

  constructor(
    private readonly port: number,
    private readonly settings: Readonly<Record<string, string>>,
  ) {
    this.url = `redis://127.0.0.1:${port}`;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  async start(): Promise<void> {
    if (this.child !== undefined) return;
    this.lifeline ??= Lifeline.open();
    const settings = {
      port: String(this.port),
      bind: '127.0.0.1',
      save: '',
      appendonly: 'no',
      ...this.settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-2_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    this.child = child;
    if (child.pid !== undefined) this.lifeline.watch(child.pid, { signal: 'SIGKILL', graceMs: 500 });
    const gone = (): void => {
      if (child.pid !== undefined) this.lifeline?.forget(child.pid);
      if (this.child === child) this.child = undefined;
    };
    child.on('exit', gone);
    child.on('error', gone);
    await this.untilReady(() => output);
    child.unref();
    for (const stream of [child.stdout, child.stderr]) (stream as unknown as Socket).unref();
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    child.ref();
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  command(...words: readonly string[]): Promise<string> {
    return runCommand(this.port, '127.0.0.1', words);
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.lifeline?.close();
    this.lifeline = undefined;
  }

  private async untilReady(output: () => string): Promise<void> {
    for (const until = Date.now() + READY_TIMEOUT_MS; Date.now() < until; await delay(POLL_MS)) {
      if (this.child === undefined) break;
      const answer = await this.command('PING').catch(() => '');
      if (answer.startsWith('+PONG')) return;
    }
    await this.kill();
    throw new TestingError('SERVER_START_FAILED', `redis-server did not start. Its output: ${output()}`);
  }
}

class ExternalRedis implements RedisServer {
  readonly external = true;
  readonly pid = undefined;

  constructor(readonly url: string) {}

  async start(): Promise<void> {
    // Managed elsewhere.
  }

  async stop(): Promise<void> {
    // Managed elsewhere.
  }

  async kill(): Promise<void> {
    throw this.refusal();
  }

  async restart(): Promise<void> {
    throw this.refusal();
  }

  pause(): void {
    throw this.refusal();
  }

  resume(): void {
    throw this.refusal();
  }

  command(...words: readonly string[]): Promise<string> {
    const { hostname, port } = new URL(this.url);
    return runCommand(Number(port) || 6_379, hostname, words);
  }

  private refusal(): TestingError {
    return new TestingError(
      'SERVER_EXTERNAL',
      'The server of REDIS_URL is not managed by Waybill and was neither killed nor paused. Unset REDIS_URL to use a redis-server from the PATH.',
    );
  }
}

/** One command on a separate connection, in the Redis protocol; resolves to the raw response. */
function runCommand(port: number, host: string, words: readonly string[]): Promise<string> {
  const text = `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host });
    let answer = '';
    socket.setTimeout(COMMAND_TIMEOUT_MS, () =>
      socket.destroy(new Error(`no response to ${words.join(' ')}`)),
    );
    socket.on('connect', () => socket.end(text));
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ShopError } from '../../shop-error.js';
import { type GatewayBooks, readGatewayBooks } from './gateway-journal.js';
import type { GatewayOrder, GatewaySettings, GatewayWord } from './gateway-main.js';
import type { GatewayCustomers } from './gateway-server.js';

const MAIN = fileURLToPath(new URL('gateway-main.js', import.meta.url));

/** The gateway as a process, which can be killed and started again: on the same port, with the same books. */
export class GatewayProcess {
  #child: ChildProcess | undefined;
  #port = 0;
  #closed = false;
  #onHeld: () => void = () => {};
  readonly #journalPath: string;

  private constructor(
    private readonly customers: GatewayCustomers,
    private readonly folder: string,
  ) {
    this.#journalPath = join(folder, 'journal.jsonl');
  }

  /** A gateway that is not started yet, with empty books in a separate folder. */
  static async open(customers: GatewayCustomers): Promise<GatewayProcess> {
    return new GatewayProcess(customers, await mkdtemp(join(tmpdir(), 'shop-gateway-')));
  }

  /** @returns its URL, the same after every start. @throws ShopError DEMO_SERVICE when it does not start */
  async start(): Promise<string> {
    if (this.#closed)
      throw new ShopError(
        'DEMO_SERVICE',
        'The gateway was ended and is not started again. Run the demo again.',
      );
    const { broken, transfer } = this.customers;
    const settings: GatewaySettings = {
      broken: [...broken],
      transfer: [...transfer],
      journalPath: this.#journalPath,
      port: this.#port,
    };
    const child = fork(MAIN, [JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child = child;
    const ready = new Promise<string>((resolve) => {
      child.on('message', (word: GatewayWord) => {
        if ('url' in word) resolve(word.url);
        else this.#onHeld();
      });
    });
    const ended = once(child, 'exit').then(() => undefined);
    const url = await Promise.race([ready, ended]);
    if (url === undefined)
      throw new ShopError('DEMO_SERVICE', 'The gateway ended before it was ready. Look above for why.');
    this.#port = Number(new URL(url).port);
    return url;
  }

  /** Sends SIGKILL, and starts the gateway again. */
  async killAndRestart(): Promise<void> {
    await this.#end('SIGKILL');
    await this.start();
  }

  /** From now on every card can be charged. */
  repair(): void {
    this.#tell('repair');
  }

  /**
   * Resolves when a charge is made and its response held back, or after `limitMs`.
   * @returns whether there was one
   */
  async holdNextCharge(limitMs: number): Promise<boolean> {
    const held = new Promise<true>((resolve) => (this.#onHeld = () => resolve(true)));
    this.#tell('hold');
    const timer = new AbortController();
    const late = delay(limitMs, false, { signal: timer.signal }).catch(() => false);
    const isHeld = await Promise.race([held, late]);
    // Left alone it would keep the demo's process for the rest of the limit.
    timer.abort();
    return isHeld;
  }

  /** Releases the response that was held back. */
  release(): void {
    this.#tell('release');
  }

  /** What the gateway reports that it has done. */
  books(): GatewayBooks {
    return readGatewayBooks(this.#journalPath);
  }

  /** Ends the process and removes its books. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#end('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }

  #tell(order: GatewayOrder): void {
    if (this.#child?.connected === true) this.#child.send(order);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

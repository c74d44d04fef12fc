import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from '../process/system-error.js';
import { TestingError } from '../testing-error.js';
import type { CrashPoints } from './crash-points.js';
import { ServiceGate } from './service-gate.js';

/** A service that was started. */
export interface RunningService {
  close(): unknown;
}

/** Starts a service on a database; it is called again after each crash, with another connection string. */
export type StartService<Service extends RunningService> = (connectionString: string) => Promise<Service>;

/**
 * How long a new instance waits for the crashed one to close, in milliseconds: that one can do no harm except hold a
 * port.
 */
const CLOSE_MS = 3_000;
/** How long the end of a test waits for it. */
const LAST_CLOSE_MS = 30_000;

interface Instance<Service> {
  readonly service: Service;
  readonly gate: ServiceGate;
}

/** A service of a test: started by the test's function, crashed at crash points, and started again. */
export class TestedService<Service extends RunningService> {
  #instance: Instance<Service> | undefined;
  /** The recovery from a crash. */
  #recovery: Promise<void> = Promise.resolve();
  #failure: TestingError | undefined;
  /** The crashed instance, while it is being closed. */
  readonly #dead = new Set<Promise<void>>();
  #isClosing = false;
  #isRecovering = false;

  constructor(
    private readonly name: string,
    private readonly startService: StartService<Service>,
    private readonly connectionString: string,
    private readonly points: CrashPoints,
  ) {}

  /** Whether it runs, and is not recovering from a crash. */
  get isUp(): boolean {
    return this.#instance !== undefined && !this.#isRecovering;
  }

  /** The current or last instance. @throws TestingError SERVICE_FAILED */
  get service(): Service {
    this.assertSound();
    if (this.#instance === undefined) throw this.#failed('has not started', undefined);
    return this.#instance.service;
  }

  /** @throws TestingError SERVICE_FAILED when it could not be started again */
  assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** @throws TestingError SERVICE_FAILED */
  async start(): Promise<void> {
    const incarnation = await this.points.incarnation(this.name);
    const gate = await ServiceGate.open({
      connectionString: this.connectionString,
      applicationName: this.name,
      settings: { 'waybill_testing.incarnation': String(incarnation) },
      onCrash: (point) => this.#crash(point, incarnation, gate),
    });
    try {
      this.#instance = { gate, service: await this.startService(gate.connectionString) };
    } catch (cause) {
      // A crash while it starts: its recovery starts it again.
      if (gate.isShut) return;
      gate.close();
      throw this.#failed('could not be started', cause);
    }
  }

  /** @throws TestingError SERVICE_FAILED */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#recovery;
    const instance = this.#instance;
    this.#instance = undefined;
    try {
      await instance?.service.close();
    } catch (cause) {
      throw this.#failed('could not be closed', cause);
    } finally {
      instance?.gate.close();
      await within(LAST_CLOSE_MS, Promise.all(this.#dead));
    }
    this.assertSound();
  }

  #crash(point: number, incarnation: number, gate: ServiceGate): void {
    this.#isRecovering = true;
    this.#recovery = this.#recovery
      .then(() => this.#recover(point, incarnation, gate))
      .catch((error: unknown) => {
        this.#failure ??=
          error instanceof TestingError ? error : this.#failed('did not restart after a crash', error);
      })
      .finally(() => (this.#isRecovering = false));
  }

  async #recover(point: number, incarnation: number, gate: ServiceGate): Promise<void> {
    await this.points.endSessions(incarnation, gate.pids);
    await this.points.done(point);
    const dead = this.#instance;
    this.#instance = undefined;
    if (dead !== undefined) await this.#dispose(dead.service);
    gate.close();
    if (!this.#isClosing) await this.start();
  }

  /** Closes the crashed instance; the result does not matter. */
  async #dispose(service: Service): Promise<void> {
    const closing = (async () => service.close())().then(
      () => undefined,
      () => undefined,
    );
    this.#dead.add(closing);
    void closing.then(() => this.#dead.delete(closing));
    await within(CLOSE_MS, closing);
  }

  #failed(what: string, cause: unknown): TestingError {
    const why = cause === undefined ? '' : ` (${describeError(cause)})`;
    return new TestingError('SERVICE_FAILED', `The service ${this.name} ${what}${why}.`, { cause });
  }
}

/** Waits for something, with a limit. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const late = delay(ms, undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([work, late]);
  over.abort();
}

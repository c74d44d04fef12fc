import { backoffMs } from './backoff-ms.js';
import { Bell } from './bell.js';
import type { IdlePace } from './idle-pace.js';
import { type Clock, systemClock } from '../clock.js';
import { guardLogger, isFenced, type Logger } from '../logger.js';
import { describeError } from '../thrown.js';

/** First and longest wait after failures, in milliseconds; a service may set a shorter maximum. */
const FIRST_FAILURE_MS = 100;
const LONGEST_FAILURE_MS = 12_800;
/** A reason is reported again after this number of failures in a row. */
const REPEATED_EVERY = 20;
/** What numbers and ids consist of: reasons that differ only in them are one. */
const VARYING = /[\da-f-]+/gi;

/** The outcome of one pass: `again` when more work is known to be waiting, `idle` when there was none. */
export type PassResult = 'again' | 'idle';

/** Options of a {@link BackgroundService}. */
export interface BackgroundServiceOptions {
  /** The name in log lines. */
  readonly name: string;
  /** One bounded pass. It must stop at the next safe point when the signal aborts. */
  readonly runOnce: (signal: AbortSignal) => Promise<PassResult>;
  /** Longest wait between two passes without work, in milliseconds. The waits grow up to it. */
  readonly idleMaxMs: number | IdlePace;
  /** First wait after a pass without work, in milliseconds. Default 1. */
  readonly idleMinMs?: number;
  /** Wakes the service early. Default: a new bell, see {@link BackgroundService.bell}. */
  readonly bell?: Bell;
  /** Longest wait after failures in a row, in milliseconds. Default 2,000. */
  readonly failureMaxMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Called after a pass that threw; the service continues after a wait. */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * The loop of every background task: it runs `runOnce` again and again, waits when there is nothing to
 * do, backs off when a pass fails, and stops between two passes.
 *
 * It may be stopped without having been started, and stopped twice; a stopped one can be started again.
 */
export class BackgroundService {
  readonly bell: Bell;
  readonly #options: BackgroundServiceOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #abort: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #lastPassAt: number | undefined;
  /** Reasons that need not be reported again yet. */
  readonly #reported = new Set<string>();

  constructor(options: BackgroundServiceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = guardLogger(options.logger);
    this.bell = options.bell ?? new Bell();
  }

  get running(): boolean {
    return this.#abort !== undefined;
  }

  /** Milliseconds since the last pass ended without an error, or since the start; undefined before that. */
  get lastPassAgeMs(): number | undefined {
    return this.#lastPassAt === undefined ? undefined : this.#clock.monotonic() - this.#lastPassAt;
  }

  /** Starts the loop; does nothing when it runs. */
  start(): void {
    if (this.#abort !== undefined) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#lastPassAt = this.#clock.monotonic();
    this.#loop = this.#run(abort.signal);
  }

  /** Stops after the current pass and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#abort?.abort();
    await this.#loop;
    this.#abort = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const idleMin = this.#options.idleMinMs ?? 1;
    let wait = idleMin;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const result = await this.#options.runOnce(signal);
        this.#lastPassAt = this.#clock.monotonic();
        failures = 0;
        if (result === 'again') {
          wait = idleMin;
          // Gives timers, signals and I/O of the process a turn between two busy passes.
          await new Promise(setImmediate);
          continue;
        }
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#report(error, failures);
        const { failureMaxMs = 2_000 } = this.#options;
        wait = backoffMs(failures, FIRST_FAILURE_MS, Math.min(failureMaxMs, LONGEST_FAILURE_MS));
        await this.#clock.sleep(wait, signal);
        wait = idleMin;
        continue;
      }
      const rung = await this.bell.wait(wait, signal);
      wait = rung ? idleMin : Math.min(this.#idleMaxMs, wait * 2);
    }
  }

  get #idleMaxMs(): number {
    const { idleMaxMs } = this.#options;
    return typeof idleMaxMs === 'number' ? idleMaxMs : idleMaxMs.restMs;
  }

  #report(error: unknown, failures: number): void {
    this.#options.onFailure?.(error);
    // Another process was faster and has done this work.
    if (isFenced(error) && failures < REPEATED_EVERY) {
      this.#logger.debug(`${this.#options.name} was overtaken: ${describeError(error)}`);
      return;
    }
    // A loop that keeps failing must not fill the disk with the same line; another reason is said at once.
    if (failures === 1 || failures % REPEATED_EVERY === 0) this.#reported.clear();
    const reason = describeError(error);
    const kind = reason.replaceAll(VARYING, '#');
    if (this.#reported.has(kind)) return;
    this.#reported.add(kind);
    this.#logger.error(`${this.#options.name} failed: ${reason}`, { failures });
  }
}

import { setMaxListeners } from 'node:events';
import { type Clock, describeError, FencedError, type Logger } from '@waybill/kernel';
import { backoffMs } from '@waybill/kernel/internal';
import type { Permit } from './permits.js';

const FIRST_PAUSE_MS = 40;
const LONGEST_PAUSE_MS = 2_000;
/** The first failure is logged, and then one in this many. */
const LOGGED_EACH = 20;

/** What {@link RepeatedWork} works with. */
export interface RepeatedWorkDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Fields that identify the lane in log lines. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Aborts when nothing more is to be started. */
  readonly closing: AbortSignal;
}

/** Repeats the work of a lane after transient failures, and releases its permit while it waits. */
export class RepeatedWork {
  constructor(private readonly dependencies: RepeatedWorkDependencies) {
    // One for each key of the lane that pauses, until its pause ends: more than the ten that Node takes for a leak.
    setMaxListeners(Infinity, dependencies.closing);
  }

  /** Whether nothing more is to be started. */
  get isClosing(): boolean {
    return this.dependencies.closing.aborted;
  }

  /** Repeats work until it succeeds, or fails in a way that must not be repeated. */
  async run<T>(permit: Permit, mayRepeat: (error: unknown) => boolean, work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof FencedError || this.isClosing || !mayRepeat(error)) throw error;
        await this.pauseAfter(error, failures, permit);
      }
    }
  }

  /** @param failures number of failures in a row */
  async pauseAfter(error: unknown, failures: number, permit: Permit): Promise<void> {
    if (failures === 1 || failures % LOGGED_EACH === 0) {
      const { logger, fields } = this.dependencies;
      logger.warn(`retrying a delivery: ${describeError(error)}`, { ...fields });
    }
    await this.pause(backoffMs(failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), permit);
  }

  /** Waits without holding a permit: other keys and partitions continue. @throws FencedError if the lane is closing */
  async pause(ms: number, permit: Permit): Promise<void> {
    permit.release();
    await this.dependencies.clock.sleep(ms, this.dependencies.closing);
    if (!this.isClosing) await permit.reacquire();
    if (this.isClosing) throw new FencedError('The lane was stopped between two attempts');
  }
}

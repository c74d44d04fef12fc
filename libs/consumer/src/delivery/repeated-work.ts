import { type Clock, describeError, FencedError, type Logger } from '@waybill/kernel';
import { backoffMs } from '@waybill/kernel/internal';
import type { Permit } from './permits.js';

const FIRST_PAUSE_MS = 40;
const LONGEST_PAUSE_MS = 2_000;
/** The first failure is logged, and then each time that this many more have followed. */
const LOGGED_EACH = 20;

/** What {@link RepeatedWork} works with. */
export interface RepeatedWorkDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Fields by which log lines of the lane are found. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Aborts when nothing more is to be begun. */
  readonly closing: AbortSignal;
}

/** Repeats the work of a lane after failures that pass, and gives its permit back for as long as it waits. */
export class RepeatedWork {
  constructor(private readonly dependencies: RepeatedWorkDependencies) {}

  /** Whether nothing more is to be begun. */
  get isClosing(): boolean {
    return this.dependencies.closing.aborted;
  }

  /** Does work until it succeeds, or fails in a way that must not be repeated. */
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

  /** @param failures how many there have been in a row */
  async pauseAfter(error: unknown, failures: number, permit: Permit): Promise<void> {
    if (failures === 1 || failures % LOGGED_EACH === 0) {
      const { logger, fields } = this.dependencies;
      logger.warn(`a delivery is tried again: ${describeError(error)}`, { ...fields });
    }
    await this.pause(backoffMs(failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), permit);
  }

  /** Waits without holding a permit: other keys and partitions go on. @throws FencedError when the lane is closing */
  async pause(ms: number, permit: Permit): Promise<void> {
    permit.release();
    await this.dependencies.clock.sleep(ms, this.dependencies.closing);
    await permit.reacquire();
    if (this.isClosing) throw new FencedError('The lane was stopped between two attempts');
  }
}

import { describeError, FencedError, isInfrastructureFailure } from '@waybill/kernel';
import { DeliveryLostError } from '../delivery/delivery-transaction.js';
import { fieldsOf, type LaneEnvironment } from '../retry/lane-context.js';

/**
 * The running jobs of a lane. A job that fails ends the lane: it is fenced or stopped, its writes have an unknown
 * outcome, or something is broken that the next owner must detect.
 */
export class LaneJobs {
  readonly #running = new Set<Promise<void>>();

  constructor(
    private readonly environment: LaneEnvironment,
    /** Aborts when the lane starts nothing more. */
    private readonly closing: AbortSignal,
    private readonly end: () => void,
  ) {}

  get count(): number {
    return this.#running.size;
  }

  /** Runs a job concurrently with the others. */
  start(job: () => Promise<void>): void {
    const work: Promise<void> = this.guard(job).finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  /** Runs a job that the caller awaits; never rejects. */
  async guard(job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      if (this.closing.aborted) return;
      if (!(error instanceof FencedError)) {
        const { logger } = this.environment.context;
        const level = error instanceof DeliveryLostError || isInfrastructureFailure(error) ? 'warn' : 'error';
        logger[level](`reopening a lane: ${describeError(error)}`, fieldsOf(this.environment));
      }
      this.end();
    }
  }

  /** Resolves when all jobs running now have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }
}

import { describeError, FencedError, isInfrastructureFailure } from '@waybill/kernel';
import { DeliveryLostError } from '../delivery/delivery-transaction.js';
import { fieldsOf, type LaneEnvironment } from '../retry/lane-context.js';

/**
 * What a lane has under way. A job that fails ends the lane: it is fenced, or stopped, or what it wrote has an unknown
 * outcome, or something is broken that the next owner must see.
 */
export class LaneJobs {
  readonly #running = new Set<Promise<void>>();

  constructor(
    private readonly environment: LaneEnvironment,
    /** Aborts when the lane begins nothing more. */
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

  /** Runs a job that the caller waits for; never rejects. */
  async guard(job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      if (this.closing.aborted) return;
      if (!(error instanceof FencedError)) {
        const { logger } = this.environment.context;
        const level = error instanceof DeliveryLostError || isInfrastructureFailure(error) ? 'warn' : 'error';
        logger[level](`a lane ends and is opened again: ${describeError(error)}`, fieldsOf(this.environment));
      }
      this.end();
    }
  }

  /** Resolves when everything has ended that runs now. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }
}

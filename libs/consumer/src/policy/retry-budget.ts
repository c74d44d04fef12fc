import {
  type Clock,
  describeError,
  type Given,
  type Logger,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import type { BudgetLimits, BudgetOwner, RetryBudgetStore } from './retry-budget-store.js';

const SPECS = {
  /** Retries per second of the whole group, all its processes together. */
  perSecond: wholeNumber({ default: 1_000, min: 1, max: 1_000_000 }),
  /** Retries that may be saved up while few are used. */
  burst: wholeNumber({ default: 5_000, min: 1, max: 10_000_000 }),
};

/** Options of a {@link RetryBudget}. */
export type RetryBudgetOptions = Given<typeof SPECS>;

/** A portion is the group's budget for this fraction of a second. */
const PORTIONS_A_SECOND = 10;
/** An unused portion is discarded after this time, so that idle processes do not hoard retries. */
const PORTION_KEPT_MS = 1_000;

/**
 * Limits a group's retries in the whole cluster, so that they do not overload a broken dependency. The processes draw
 * in portions, so that the store is called a few times per second and not for every retry. While the store is
 * unavailable, a process allows itself one portion per portion's time.
 */
export class RetryBudget {
  readonly #limits: BudgetLimits;
  #tokens = 0;
  #drawnAt = -Infinity;
  #drawing = false;
  #nextDrawAt = -Infinity;

  /**
   * @param onFilled called when retries are available again
   * @throws ConfigurationError
   */
  constructor(
    private readonly group: BudgetOwner,
    private readonly store: RetryBudgetStore,
    options: RetryBudgetOptions,
    private readonly dependencies: {
      readonly clock: Clock;
      readonly logger: Logger;
      readonly onFilled: () => void;
    },
  ) {
    this.#limits = resolveOptions('retry budget', SPECS, options);
  }

  /** Takes one retry from the budget; false if none is available at the moment. */
  tryTake(): boolean {
    const now = this.dependencies.clock.monotonic();
    if (now - this.#drawnAt > PORTION_KEPT_MS) this.#tokens = 0;
    if (this.#tokens === 0) {
      if (!this.#drawing && now >= this.#nextDrawAt) void this.#draw();
      return false;
    }
    this.#tokens -= 1;
    return true;
  }

  async #draw(): Promise<void> {
    this.#drawing = true;
    const { clock, logger, onFilled } = this.dependencies;
    const portion = Math.max(1, Math.ceil(this.#limits.perSecond / PORTIONS_A_SECOND));
    let granted: number;
    try {
      granted = await this.store.draw(this.group, portion, this.#limits);
    } catch (error) {
      logger.warn(`could not draw from the retry budget: ${describeError(error)}`, {
        group: this.group.name,
      });
      granted = portion;
    }
    const now = clock.monotonic();
    this.#drawing = false;
    this.#tokens = granted;
    this.#drawnAt = now;
    this.#nextDrawAt = now + 1_000 / Math.min(PORTIONS_A_SECOND, this.#limits.perSecond);
    if (granted > 0) onFilled();
  }

  /** How long to wait before trying again, in milliseconds. */
  get waitMs(): number {
    return Math.max(1, Math.ceil(this.#nextDrawAt - this.dependencies.clock.monotonic()));
  }
}

/** The counts of a consumer since its creation. */
export interface ConsumerCounts {
  /** Messages that were handled successfully. */
  readonly done: number;
  /** Failed attempts, by the number of the attempt; the last one includes all later ones. */
  readonly failedAttempts: readonly number[];
  readonly deadLetters: number;
  readonly dropped: number;
  /** Messages that expired before they were handled. */
  readonly expired: number;
  /** Messages that were parked. */
  readonly parked: number;
}

/** Number of attempts that are counted separately. */
const ATTEMPTS = 20;

/** Maintains {@link ConsumerCounts}. */
export class ConsumerCounters {
  done = 0;
  deadLetters = 0;
  dropped = 0;
  expired = 0;
  parked = 0;
  readonly #failedAttempts: number[] = Array.from({ length: ATTEMPTS }, () => 0);

  /** @param attempt from 1 */
  failed(attempt: number): void {
    const index = Math.min(Math.max(1, attempt), ATTEMPTS) - 1;
    this.#failedAttempts[index] = (this.#failedAttempts[index] ?? 0) + 1;
  }

  get counts(): ConsumerCounts {
    const { done, deadLetters, dropped, expired, parked } = this;
    return { done, failedAttempts: [...this.#failedAttempts], deadLetters, dropped, expired, parked };
  }
}

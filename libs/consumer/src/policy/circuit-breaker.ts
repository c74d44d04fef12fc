import { type Given, resolveOptions, wholeNumber } from '@waybill/kernel';

const SPECS = {
  /** Number of failures in a row, of any messages, that pauses the handler in this process. */
  failures: wholeNumber({ default: 20, min: 1, max: 1_000_000 }),
  /** How long it is paused before one message is tried, in milliseconds. */
  pauseMs: wholeNumber({ default: 30_000, min: 1, max: 86_400_000 }),
};

/** Options of a {@link CircuitBreaker}. */
export type CircuitBreakerOptions = Given<typeof SPECS>;

/** States of a circuit breaker, by their usual names: closed admits all messages, half open a single one. */
export type CircuitState = 'closed' | 'open' | 'half-open';

/** Pauses a handler that fails repeatedly, then probes it with one message. (M. Nygard, Release It!, 2007.) */
export class CircuitBreaker {
  readonly #options;
  #inARow = 0;
  #openUntil: number | undefined;
  #probing = false;

  /**
   * @param monotonic the time in milliseconds
   * @throws ConfigurationError
   */
  constructor(
    options: CircuitBreakerOptions,
    private readonly monotonic: () => number,
  ) {
    this.#options = resolveOptions('circuit breaker', SPECS, options);
  }

  get state(): CircuitState {
    if (this.#openUntil === undefined) return 'closed';
    return this.#probing || this.monotonic() >= this.#openUntil ? 'half-open' : 'open';
  }

  /** How long nothing may start, in milliseconds; 0 if something may. */
  get waitMs(): number {
    if (this.#openUntil === undefined) return 0;
    return this.#probing ? Infinity : Math.max(0, this.#openUntil - this.monotonic());
  }

  /** Whether only a single message may start. */
  get onlyOne(): boolean {
    return this.#openUntil !== undefined;
  }

  /** A message starts: if the breaker is half open, it is the probe. */
  begin(): void {
    if (this.#openUntil !== undefined) this.#probing = true;
  }

  /** A handler has succeeded; true if this has closed the breaker. */
  succeeded(): boolean {
    const closed = this.#openUntil !== undefined;
    this.#inARow = 0;
    this.#openUntil = undefined;
    this.#probing = false;
    return closed;
  }

  /** A handler has failed; true if this has opened the breaker. */
  failed(): boolean {
    this.#inARow += 1;
    if (this.#openUntil === undefined && this.#inARow < this.#options.failures) return false;
    const opened = this.#openUntil === undefined;
    this.#openUntil = this.monotonic() + this.#options.pauseMs;
    this.#probing = false;
    return opened;
  }

  /** A message has ended without a result that concerns the handler. */
  undecided(): void {
    this.#probing = false;
  }
}

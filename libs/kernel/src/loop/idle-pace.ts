import { type Clock, systemClock } from '../clock.js';

/** A loop is quiet when it has had no work for this long, in milliseconds. */
const QUIET_AFTER_MS = 60_000;

/** Options of an {@link IdlePace}. */
export interface IdlePaceOptions {
  /** Longest time between two polls as long as there was work lately, in milliseconds. */
  readonly busyMs: number;
  /** Longest time between two polls of a quiet loop, in milliseconds; not below `busyMs`. */
  readonly quietMs: number;
  /** Whether new work of other processes is announced: without that, polling is what finds it. */
  readonly isAnnounced: () => boolean;
  readonly clock?: Clock;
}

/**
 * How long a loop may rest between two polls. One that has had no work for a minute rests longer, if signals announce new
 * work: an idle process then costs the database little.
 */
export class IdlePace {
  readonly #clock: Clock;
  #workedAt: number;

  constructor(private readonly options: IdlePaceOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#workedAt = this.#clock.monotonic();
  }

  /** Notes that there was work, or that some was announced. Returns whether it was quiet: then the loop may be in a long rest. */
  worked(): boolean {
    const wasQuiet = this.#isQuiet;
    this.#workedAt = this.#clock.monotonic();
    return wasQuiet;
  }

  /** Longest time until the next poll, in milliseconds. */
  get restMs(): number {
    const { busyMs, quietMs, isAnnounced } = this.options;
    return quietMs > busyMs && this.#isQuiet && isAnnounced() ? quietMs : busyMs;
  }

  get #isQuiet(): boolean {
    return this.#clock.monotonic() - this.#workedAt >= QUIET_AFTER_MS;
  }
}

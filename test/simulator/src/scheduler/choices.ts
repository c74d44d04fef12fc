/** A generator of 32-bit numbers that a seed determines (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/**
 * The only source of chance in a run: a sequence of small whole numbers, drawn from a seed or replayed. 0 is always the
 * simplest choice (the task that has waited longest goes on, nothing fails), so a sequence shrinks by removing numbers
 * and by lowering them.
 */
export class Choices {
  /** The choices made so far. */
  readonly made: number[] = [];
  readonly #draw: (count: number) => number;

  /** @param draw draws a number from 0 to `count` - 1 */
  private constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  /** Draws choices from a seed. */
  static fromSeed(seed: number): Choices {
    const next = generator(seed);
    return new Choices((count) => next() % count);
  }

  /** Replays choices; after the last one, every choice is 0. */
  static replay(choices: readonly number[]): Choices {
    let at = 0;
    return new Choices((count) => {
      const choice = choices[at] ?? 0;
      at += 1;
      return Math.min(choice, count - 1);
    });
  }

  /** A number from 0 to `count` - 1. */
  below(count: number): number {
    const choice = this.#draw(count);
    this.made.push(choice);
    return choice;
  }

  /** True once in `count` times; false is the simpler choice. */
  rarely(count: number): boolean {
    return this.below(count) === count - 1;
  }

  /** One of some values; the first is the simplest. */
  oneOf<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

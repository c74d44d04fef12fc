import { Choices } from '../scheduler/choices.js';
import type { Machine } from './machine.js';
import { type Outcome, runSchedule, type ScheduleOptions } from './run-schedule.js';

/** Steps that shrinking may take, in all its runs together. */
const MOST_STEPS = 400_000;

/**
 * Finds a smaller run that breaks the same rule, on the sequence of choices: it leaves out chunks, then lowers single
 * choices, as long as that helps.
 * @returns the smallest run found, with its trace
 */
export async function shrink(machine: Machine, found: Outcome, options: ScheduleOptions): Promise<Outcome> {
  const shrinker = new Shrinker(machine, found, options);
  await shrinker.run();
  return runSchedule(machine, Choices.replay(shrinker.best), { ...options, traced: true });
}

class Shrinker {
  best: readonly number[];
  readonly #rule: string | undefined;
  #size: Size;
  #steps = 0;

  constructor(
    private readonly machine: Machine,
    { choices, violation, steps }: Outcome,
    private readonly options: ScheduleOptions,
  ) {
    this.best = withoutZeros(choices);
    this.#rule = violation?.rule;
    this.#size = sizeOf(this.best, steps);
  }

  async run(): Promise<void> {
    for (let before: Size | undefined; before !== this.#size && this.#steps < MOST_STEPS;) {
      before = this.#size;
      await this.#dropChunks();
      await this.#lower();
    }
  }

  async #dropChunks(): Promise<void> {
    for (let chunk = this.best.length >> 1; chunk >= 1; chunk >>= 1) {
      for (let at = this.best.length - chunk; at >= 0;) {
        await this.#try([...this.best.slice(0, at), ...this.best.slice(at + chunk)]);
        // A dropped choice shifts all that follow; one that becomes 0 leaves them in place.
        const zeros = this.best.map((choice, index) => (index >= at && index < at + chunk ? 0 : choice));
        await this.#try(zeros);
        at -= chunk;
      }
    }
  }

  async #lower(): Promise<void> {
    for (let at = this.best.length - 1; at >= 0; at -= 1) {
      const choice = this.best[at] ?? 0;
      for (const lower of new Set([0, choice >> 1, choice - 1]))
        if (lower >= 0 && lower < (this.best[at] ?? 0))
          await this.#try(this.best.map((other, index) => (index === at ? lower : other)));
    }
  }

  /** Takes these choices if they break the same rule in a smaller run. */
  async #try(choices: readonly number[]): Promise<void> {
    const shorter = withoutZeros(choices);
    if (this.#steps >= MOST_STEPS || shorter.length > this.best.length) return;
    const { violation, steps } = await runSchedule(this.machine, Choices.replay(shorter), {
      ...this.options,
      traced: false,
    });
    this.#steps += steps;
    const size = sizeOf(shorter, steps);
    if (violation === undefined || violation.rule !== this.#rule || !isSmaller(size, this.#size)) return;
    this.best = shorter;
    this.#size = size;
  }
}

/** Zeros at the end are what a replay does anyway. */
function withoutZeros(choices: readonly number[]): readonly number[] {
  return choices.slice(0, choices.findLastIndex((choice) => choice !== 0) + 1);
}

/** Fewer steps are better, then fewer choices, then lower ones. */
type Size = readonly [steps: number, length: number, sum: number];

function sizeOf(choices: readonly number[], steps: number): Size {
  return [steps, choices.length, choices.reduce((sum, choice) => sum + choice, 0)];
}

function isSmaller(a: Size, b: Size): boolean {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}

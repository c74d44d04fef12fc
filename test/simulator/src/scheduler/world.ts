import type { Choices } from './choices.js';
import type { SimProcess } from './sim-process.js';
import type { Violation } from './violation.js';

/** How a machine wants to be run. */
export interface WorldOptions {
  /** Steps with faults and time that jumps; afterwards everything has to come to its end. */
  readonly stormSteps: number;
  /** Steps after which a run counts as endless. */
  readonly mostSteps: number;
  /** The most faults of a run. */
  readonly mostFaults: number;
  /** A fault happens about once in this many steps. */
  readonly faultOdds: number;
  /** Time moves on, although a task could, about once in this many steps. */
  readonly timeOdds: number;
}

interface Parked {
  readonly process: SimProcess | undefined;
  readonly label: string;
  readonly resume: () => void;
  /** It is held up until this time. */
  notBeforeMs: number;
}

interface Sleeper extends Parked {
  readonly untilMs: number;
}

/** Steps that are left out of the trace: what follows them shows more. */
const QUIET: ReadonlySet<string> = new Set(['starts', 'wakes', 'sends']);
/** Delays of a single step, in milliseconds. */
const DELAYS_MS = [20, 300, 3_000] as const;

/**
 * A simulated system: tasks, processes and a clock. Tasks are async functions whose every wait for something outside is
 * a {@link step} or a {@link sleep}. The world resumes one of them at a time, lets it run to its next wait, and chooses
 * again. All chance comes from {@link Choices}, so the same choices make the same run.
 */
export class World {
  /** The time by the database's clock, in milliseconds. */
  nowMs = 1_000_000_000;
  steps = 0;
  violation: Violation | undefined;
  /** Stops the run early: the machine has seen all it wants to. */
  isOver: () => boolean = () => false;
  /** Injects a fault of the machine's own kinds. */
  strike: () => void = () => {};
  #faultsLeft: number;
  #parked: Parked[] = [];
  #sleepers: Sleeper[] = [];
  readonly #trace: string[] | undefined;
  readonly #names = new Map<string, string>();

  constructor(
    readonly choices: Choices,
    private readonly options: WorldOptions,
    traced: boolean,
  ) {
    this.#faultsLeft = choices.below(options.mostFaults + 1);
    this.#trace = traced ? [] : undefined;
  }

  get trace(): readonly string[] {
    return this.#trace ?? [];
  }

  /** Whether faults may still happen. */
  get isStormy(): boolean {
    return this.steps < this.options.stormSteps;
  }

  /** Whether to inject a fault here: one in `odds` times, as long as faults are left. */
  fault(odds: number): boolean {
    if (!this.isStormy || this.#faultsLeft === 0 || !this.choices.rarely(odds)) return false;
    this.#faultsLeft -= 1;
    return true;
  }

  /** Adds a line to the trace; the text is only made when a trace is wanted. */
  note(text: () => string): void {
    this.#trace?.push(`${this.nowMs - 1_000_000_000} ms: ${text()}`);
  }

  /** A name for a random id of the product's, which would differ from run to run: its number among those of the trace. */
  nameOf(id: string): string {
    const name = this.#names.get(id) ?? `id-${this.#names.size + 1}`;
    this.#names.set(id, name);
    return name;
  }

  /** Records the first broken rule; the run then ends. */
  broken(rule: string, what: string): void {
    this.note(() => `BROKEN: ${rule}: ${what}`);
    this.violation ??= { rule, what };
  }

  /** Starts a task. An error that it throws is a violation. */
  spawn(task: () => Promise<void>, process?: SimProcess): void {
    void (async () => {
      await this.step('starts', process);
      await task();
    })().catch((error: unknown) => {
      if (process?.isAlive !== false) this.broken('no task fails', String((error as Error)?.stack ?? error));
    });
  }

  /** Waits until the scheduler lets the caller go on. A crashed process never goes on. */
  step(label: string, process?: SimProcess): Promise<void> {
    return new Promise((resolve) => {
      if (process?.isAlive !== false) this.#parked.push({ process, label, resume: resolve, notBeforeMs: 0 });
    });
  }

  /** Waits until the time has come, or the signal aborts. */
  sleep(ms: number, process?: SimProcess, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      if (process?.isAlive === false) return;
      const untilMs = this.nowMs + Math.max(0, ms);
      const resume = (): void => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { process, label: 'wakes', resume, untilMs, notBeforeMs: 0 };
      const wake = (): void => {
        const at = this.#sleepers.indexOf(sleeper);
        if (at >= 0) this.#sleepers.splice(at, 1);
        const ready = this.#parked.indexOf(sleeper);
        if (ready >= 0) this.#parked.splice(ready, 1);
        resolve();
      };
      signal?.addEventListener('abort', wake, { once: true });
      this.#sleepers.push(sleeper);
    });
  }

  /** Removes the waits of a process that has crashed. */
  forget(process: SimProcess): void {
    this.#parked = this.#parked.filter((parked) => parked.process !== process);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.process !== process);
  }

  /** Runs until the machine is over, a rule is broken, or nothing is left to do. */
  async run(): Promise<void> {
    for (;;) {
      // Every task that was resumed runs to its next wait: microtasks come before this.
      await new Promise(setImmediate);
      if (this.violation !== undefined || this.isOver()) return;
      this.steps += 1;
      if (this.steps > this.options.mostSteps)
        return this.broken('it ends in bounded steps', `it is not over after ${this.steps - 1} steps`);
      if (this.fault(this.options.faultOdds)) this.#injectFault();
      if (!this.#move()) return this.broken('it ends in bounded steps', 'nothing is left that could go on');
    }
  }

  /** Resumes a task, or moves the time. @returns false if neither is possible */
  #move(): boolean {
    const ready = this.#parked.filter((parked) => this.#mayGoOn(parked));
    if (ready.length === 0) return this.#moveTime();
    const { timeOdds } = this.options;
    if (this.isStormy && this.#sleepers.length > 0) {
      const choice = this.choices.below(ready.length * timeOdds + 1);
      if (choice === ready.length * timeOdds) return this.#moveTime();
      this.#resume(ready[choice % ready.length] as Parked);
    } else this.#resume(ready[ready.length === 1 ? 0 : this.choices.below(ready.length)] as Parked);
    return true;
  }

  #mayGoOn({ process, notBeforeMs }: Parked): boolean {
    return notBeforeMs <= this.nowMs && (process === undefined || process.stoppedUntilMs <= this.nowMs);
  }

  #resume(parked: Parked): void {
    this.#parked.splice(this.#parked.indexOf(parked), 1);
    if (!QUIET.has(parked.label)) this.note(() => `${parked.process?.name ?? 'server'} ${parked.label}`);
    parked.resume();
  }

  /** Moves the time to the next moment at which something can happen. */
  #moveTime(): boolean {
    let next = Infinity;
    for (const { untilMs } of this.#sleepers) next = Math.min(next, untilMs);
    for (const { process, notBeforeMs } of this.#parked) {
      const at = Math.max(notBeforeMs, process?.stoppedUntilMs ?? 0);
      if (at > this.nowMs) next = Math.min(next, at);
    }
    if (next === Infinity) return false;
    this.nowMs = Math.max(this.nowMs, next);
    const due = this.#sleepers.filter(({ untilMs }) => untilMs <= this.nowMs);
    if (due.length === 0) return true;
    this.#sleepers = this.#sleepers.filter(({ untilMs }) => untilMs > this.nowMs);
    this.#parked.push(...due);
    return true;
  }

  #injectFault(): void {
    const kind = this.choices.oneOf(['late', 'stall', 'strike', 'strike'] as const);
    if (kind === 'strike') return this.strike();
    const delayMs = this.choices.oneOf(DELAYS_MS);
    const late =
      kind === 'stall' || this.#parked.length === 0
        ? this.#parked
        : [this.#parked[this.choices.below(this.#parked.length)] as Parked];
    // A server that stalls holds up everything that is under way.
    for (const parked of late) parked.notBeforeMs = this.nowMs + delayMs;
    const what = late.map(({ process, label }) => `${process?.name ?? 'server'} ${label}`).join(', ');
    this.note(() => `FAULT: ${delayMs} ms late: ${what}`);
  }
}

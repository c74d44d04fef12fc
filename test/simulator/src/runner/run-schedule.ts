import type { Choices } from '../scheduler/choices.js';
import type { Violation } from '../scheduler/violation.js';
import { World } from '../scheduler/world.js';
import type { Machine } from './machine.js';

/** What a run came to. */
export interface Outcome {
  readonly violation: Violation | undefined;
  /** The choices that it made: replaying them gives the same run. */
  readonly choices: readonly number[];
  /** Empty unless it was asked for. */
  readonly trace: readonly string[];
  readonly steps: number;
}

/** What every run of a process needs. */
export interface ScheduleOptions {
  readonly bug?: string | undefined;
  readonly traced?: boolean;
}

/** The world that runs at present: it gets the errors of promises that nothing awaits. */
let current: World | undefined;

process.on('unhandledRejection', (error: unknown) => {
  if (current === undefined) throw error;
  current.broken('no error is left alone', String((error as Error)?.stack ?? error));
});

/** Runs a machine once, by these choices. */
export async function runSchedule(
  machine: Machine,
  choices: Choices,
  { bug, traced = false }: ScheduleOptions = {},
): Promise<Outcome> {
  // Stacks cost more than the rest of an error; only a trace shows them.
  Error.stackTraceLimit = traced ? 10 : 0;
  const world = new World(choices, machine.world, traced);
  current = world;
  const run = machine.build(world, bug);
  await world.run();
  if (world.violation === undefined) run.atEnd();
  const { violation, trace, steps } = world;
  return { violation, choices: choices.made, trace, steps };
}

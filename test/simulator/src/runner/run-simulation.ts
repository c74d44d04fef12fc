import { Choices } from '../scheduler/choices.js';
import type { Machine } from './machine.js';
import { type Outcome, runSchedule } from './run-schedule.js';
import { shrink } from './shrink.js';

/** What to simulate. */
export interface Simulation {
  /** The machines, by name. */
  readonly machines: ReadonlyMap<string, Machine>;
  /** Schedules in all, which the machines share. */
  readonly schedules: number;
  readonly seed: number;
  /** The bug planted in the model, if any. */
  readonly bug: string | undefined;
  readonly print: (line: string) => void;
}

/** What a simulation came to. */
export interface SimulationResult {
  readonly schedules: number;
  readonly seconds: number;
  /** The machines that broke a rule. */
  readonly broken: readonly string[];
}

/** Lines of a trace that are printed. */
const SHOWN_LINES = 120;

/** Runs schedule after schedule; a machine that breaks a rule is shrunk, printed and left. */
export async function runSimulation(simulation: Simulation): Promise<SimulationResult> {
  const { machines, schedules, print } = simulation;
  const began = performance.now();
  const broken: string[] = [];
  let done = 0;
  const shares = [...machines.values()].reduce((sum, { share }) => sum + share, 0);
  for (const [name, machine] of machines) {
    const machineBegan = performance.now();
    const most = Math.ceil((schedules * machine.share) / shares);
    const { ran, failed } = await runMachine(simulation, name, machine, most);
    const seconds = (performance.now() - machineBegan) / 1_000;
    done += ran;
    if (failed) broken.push(name);
    print(
      `${failed ? 'BROKEN' : 'holds'}  ${name} (${machine.what}): ${ran} schedules, ${Math.round(ran / seconds)} a second`,
    );
  }
  return { schedules: done, seconds: (performance.now() - began) / 1_000, broken };
}

async function runMachine(
  simulation: Simulation,
  name: string,
  machine: Machine,
  most: number,
): Promise<{ readonly ran: number; readonly failed: boolean }> {
  const { seed, bug } = simulation;
  for (let index = 0; index < most; index += 1) {
    const scheduleSeed = (seed + index) >>> 0;
    const outcome = await runSchedule(machine, Choices.fromSeed(scheduleSeed), { bug });
    if (outcome.violation === undefined) continue;
    await report(simulation, name, machine, scheduleSeed, outcome);
    return { ran: index + 1, failed: true };
  }
  return { ran: most, failed: false };
}

async function report(
  { bug, print }: Simulation,
  name: string,
  machine: Machine,
  seed: number,
  found: Outcome,
): Promise<void> {
  const { violation } = found;
  print(`broken: ${name}: ${violation?.rule}: ${violation?.what}`);
  print(`  again: npm run simulate -- --machine ${name} --schedules 1 --seed ${seed}`);
  const small = await shrink(machine, found, { bug });
  print(`  shrunk from ${found.choices.length} choices to ${small.choices.length}, ${small.steps} steps:`);
  print(`  ${small.violation?.rule}: ${small.violation?.what}`);
  const { trace } = small;
  if (trace.length > SHOWN_LINES) print(`  … ${trace.length - SHOWN_LINES} lines before`);
  for (const line of trace.slice(-SHOWN_LINES)) print(`  ${line}`);
}

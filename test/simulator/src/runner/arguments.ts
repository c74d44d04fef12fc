import { parseArgs } from 'node:util';
import { MACHINES } from '../machines/all-machines.js';

/** What a run is asked for. */
export interface SimulatorArguments {
  readonly machines: readonly string[];
  /** In all; the machines share them. */
  readonly schedules: number;
  readonly seed: number;
  /** The bug to plant in the model of the one machine, if any. */
  readonly bug: string | undefined;
}

const USAGE = `usage: npm run simulate [-- --machine NAME,… --schedules N --seed S --bug NAME]
machines: ${[...MACHINES.keys()].join(', ')}; default: all
bugs of the models: ${[...MACHINES].map(([name, { bugs }]) => `${name}: ${Object.keys(bugs).join(', ')}`).join('; ')}`;

/** An argument that cannot be used; its message says how to call the program. */
export class UsageError extends Error {
  constructor(problem: string) {
    super(`${problem}\n${USAGE}`);
  }
}

/** @throws UsageError */
export function parseSimulatorArguments(args: readonly string[]): SimulatorArguments {
  const values = optionsOf(args);
  const machines = values.machine?.split(',') ?? [...MACHINES.keys()];
  const unknown = machines.filter((name) => !MACHINES.has(name));
  if (unknown.length > 0) throw new UsageError(`unknown machine ${unknown.join(', ')}`);
  const { bug } = values;
  if (bug !== undefined && !machines.every((name) => Object.hasOwn(MACHINES.get(name)?.bugs ?? {}, bug)))
    throw new UsageError(`${machines.join(', ')} has no bug ${bug}`);
  return {
    machines,
    schedules: numberOf('schedules', values.schedules ?? '100000', 1, 1_000_000_000),
    seed: numberOf('seed', values.seed ?? String(Date.now() % 1_000_000), 0, 2 ** 32 - 1),
    bug,
  };
}

function optionsOf(
  args: readonly string[],
): Partial<Record<'machine' | 'schedules' | 'seed' | 'bug', string>> {
  const type = 'string' as const;
  try {
    const options = { machine: { type }, schedules: { type }, seed: { type }, bug: { type } };
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max)
    throw new UsageError(
      `--${name} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`,
    );
  return value;
}

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runChaos } from '../runner/run-chaos.js';
import { MUTANTS } from './all-mutants.js';
import type { Mutant } from './mutant.js';
import { SIMULATOR_MUTANTS, type SimulatorMutant } from './simulator-mutants.js';

/** How long the load runs with each bug, in seconds, and how long its rest may take, in milliseconds. */
const SECONDS = 25;
const DRAIN_MS = 15_000;
/** Schedules of its machine within which the simulator must find a bug. */
const SCHEDULES = 20_000;

/** The planted bugs: those that a run under load must catch, and those that the simulator must. */
export const MUTANT_NAMES: readonly string[] = [...Object.keys(MUTANTS), ...Object.keys(SIMULATOR_MUTANTS)];

/** What caught a bug: nothing, if there are no rules. */
interface Caught {
  /** What ran: the load, or a machine of the simulator. */
  readonly by: string;
  /** The rules that it broke. */
  readonly rules: readonly string[];
}

/** A bug, what caught it, and after how many seconds. */
export interface MutantResult extends Caught {
  readonly name: string;
  readonly seconds: number;
}

/** Plants each bug in turn, and looks which checkers catch it. One that cannot be planted is missed. */
export async function runMutants(
  names: readonly string[],
  seed: number,
  print: (line: string) => void,
): Promise<MutantResult[]> {
  const results: MutantResult[] = [];
  for (const name of names) {
    const began = performance.now();
    const simulated = Object.hasOwn(SIMULATOR_MUTANTS, name) ? SIMULATOR_MUTANTS[name] : undefined;
    const mutant = simulated ?? (MUTANTS[name] as Mutant);
    // A run that fails proves nothing: the bug may not have been planted.
    const caught = await (
      simulated === undefined ? underLoad(mutant as Mutant, seed) : inSimulator(simulated, seed)
    ).catch((error: unknown): Caught => {
      print(`the run failed: ${(error as Error).message}`);
      return { by: 'nothing', rules: [] };
    });
    const seconds = Math.round((performance.now() - began) / 1_000);
    const { by, rules } = caught;
    print(
      rules.length === 0
        ? `MISSED  ${name} (${mutant.what}), ${seconds} s: ${by} broke no rule`
        : `caught  ${name} (${mutant.what}), ${seconds} s: ${by}: ${rules.join('; ')}`,
    );
    results.push({ name, seconds, ...caught });
  }
  return results;
}

async function underLoad(mutant: Mutant, seed: number): Promise<Caught> {
  const faults = mutant.faults.filter((fault) => fault !== 'none');
  const { violations } = await runChaos(
    { faults, seconds: SECONDS, seed, mutant, drainMs: DRAIN_MS },
    () => {},
  );
  return {
    by: `load under ${faults.join(', ') || 'no fault'}`,
    rules: [...new Set(violations.map(({ rule }) => rule))],
  };
}

/** @throws Error when the simulator ends in another way than by a broken rule, or without one */
async function inSimulator(mutant: SimulatorMutant, seed: number): Promise<Caught> {
  const { simulator: machine, at } = mutant;
  const isOfModel = 'model' in at;
  const main = fileURLToPath(new URL('../../../simulator/dist/main.js', import.meta.url));
  const { code, output } = await run(
    [
      ...(isOfModel ? [] : ['--import', new URL('./register.js', import.meta.url).href]),
      main,
      `--machine=${machine}`,
      `--schedules=${SCHEDULES}`,
      `--seed=${seed}`,
      ...(isOfModel ? ['--bug', at.model] : []),
    ],
    isOfModel ? {} : { WAYBILL_CHAOS_PLANTINGS: JSON.stringify([mutant]) },
  );
  const rules = [...output.matchAll(/^broken: \w+: (?<rule>[^:]*):/gm)].map(
    ({ groups }) => groups?.['rule'] ?? '',
  );
  if (code > 1 || (code === 1) !== rules.length > 0)
    throw new Error(`the simulator ended with exit code ${code}:\n${output}`);
  return { by: `machine ${machine}`, rules };
}

function run(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 2, output }));
  });
}

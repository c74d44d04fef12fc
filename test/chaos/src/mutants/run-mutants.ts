import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChaos } from '../runner/run-chaos.js';
import { MUTANTS } from './all-mutants.js';
import { judge, type Judgement, type Run } from './judge.js';
import { type Mutant, StaleMutantError } from './mutant.js';
import { guardPlanting } from './planted-code.js';
import { SIMULATOR_MUTANTS, type SimulatorMutant } from './simulator-mutants.js';

/** How long the load runs with each bug, in seconds, and how long its rest may take, in milliseconds. */
const SECONDS = 25;
const DRAIN_MS = 15_000;
/** Schedules of its machine within which the simulator must find a bug. */
const SCHEDULES = 20_000;
/** How long the simulator may take, in milliseconds. Code that never waits would hang it. */
const SIMULATOR_MS = 900_000;

/** The planted bugs: those that a run under load must catch, and those that the simulator must. */
export const MUTANT_NAMES: readonly string[] = [...Object.keys(MUTANTS), ...Object.keys(SIMULATOR_MUTANTS)];

/** A bug, and what came of it. */
export interface MutantResult {
  readonly name: string;
  readonly isCaught: boolean;
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
    const mutant = SIMULATOR_MUTANTS[name] ?? (MUTANTS[name] as Mutant);
    const { verdict, why } = await runMutant(mutant, seed);
    const seconds = Math.round((performance.now() - began) / 1_000);
    print(`${verdict.padEnd(6)}  ${name} (${mutant.what}), ${seconds} s: ${why}`);
    results.push({ name, isCaught: verdict === 'caught' });
  }
  return results;
}

async function runMutant(mutant: Mutant | SimulatorMutant, seed: number): Promise<Judgement> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-mutant-'));
  const reports = join(folder, 'reports');
  try {
    const run = await ('simulator' in mutant
      ? inSimulator(mutant, seed, reports)
      : underLoad(mutant, seed, reports));
    const thrown = existsSync(reports) ? readFileSync(reports, 'utf8').trim().split('\n') : [];
    return judge(mutant, { ...run, thrown: [...new Set(thrown)] });
  } catch (error) {
    // A run that fails proves nothing: the bug may not have been planted.
    return error instanceof StaleMutantError
      ? { verdict: 'STALE', why: error.message }
      : { verdict: 'MISSED', why: `the run failed: ${(error as Error).message}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws StaleMutantError */
async function underLoad(mutant: Mutant, seed: number, reports: string): Promise<Omit<Run, 'thrown'>> {
  const { at } = mutant;
  const faults = mutant.faults.filter((fault) => fault !== 'none');
  const planted = 'file' in at ? { ...mutant, ...guardPlanting({ ...mutant, at }, reports) } : mutant;
  const { violations } = await runChaos(
    { faults, seconds: SECONDS, seed, mutant: planted, drainMs: DRAIN_MS },
    () => {},
  );
  return {
    by: `load under ${faults.join(', ') || 'no fault'}`,
    broken: [...new Set(violations.map(({ rule }) => rule))],
  };
}

/** @throws StaleMutantError; Error when the simulator ends in another way than by a broken rule, or without one */
async function inSimulator(
  mutant: SimulatorMutant,
  seed: number,
  reports: string,
): Promise<Omit<Run, 'thrown'>> {
  const { simulator: machine, at } = mutant;
  const planting = 'file' in at ? guardPlanting({ ...mutant, at }, reports) : undefined;
  const main = fileURLToPath(new URL('../../../simulator/dist/main.js', import.meta.url));
  const { code, output } = await run(
    [
      ...(planting === undefined ? [] : ['--import', new URL('./register.js', import.meta.url).href]),
      main,
      `--machine=${machine}`,
      `--schedules=${SCHEDULES}`,
      `--seed=${seed}`,
      ...('model' in at ? ['--bug', at.model] : []),
    ],
    planting === undefined ? {} : { WAYBILL_CHAOS_PLANTINGS: JSON.stringify([planting]) },
  );
  const broken = [...output.matchAll(/^broken: \w+: (?<rule>[^:]*):/gm)].map(
    ({ groups }) => groups?.['rule'] ?? '',
  );
  if (code > 1 || (code === 1) !== broken.length > 0)
    throw new Error(`the simulator ended with exit code ${code}:\n${output}`);
  return { by: `machine ${machine}`, broken };
}

function run(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    timeout: SIMULATOR_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      signal === null
        ? resolve({ code: code ?? 2, output })
        : reject(new Error(`the simulator was ended by ${signal}, at the latest after ${SIMULATOR_MS} ms`)),
    );
  });
}

import { runChaos } from '../runner/run-chaos.js';
import { MUTANTS } from './all-mutants.js';
import type { Mutant } from './mutant.js';

/** How long the load runs with each bug, and how long its rest may take, in the time units of their names. */
const SECONDS = 25;
const DRAIN_MS = 15_000;

/** Which rule caught a bug, and after how many seconds; undefined when none did. */
export interface Caught {
  readonly name: string;
  readonly rules: readonly string[];
  readonly seconds: number;
}

/** Plants each bug in turn, and looks which checkers catch it. */
export async function runMutants(
  names: readonly string[],
  seed: number,
  print: (line: string) => void,
): Promise<Caught[]> {
  const caught: Caught[] = [];
  for (const name of names) {
    const mutant = MUTANTS[name] as Mutant;
    const began = performance.now();
    const faults = mutant.faults.filter((fault) => fault !== 'none');
    // A run that fails proves nothing: the bug may not have been planted.
    const { violations } = await runChaos(
      { faults, seconds: SECONDS, seed, mutant, drainMs: DRAIN_MS },
      () => {},
    );
    const rules = [...new Set(violations.map(({ rule }) => rule))];
    const seconds = Math.round((performance.now() - began) / 1_000);
    print(
      `${rules.length > 0 ? 'caught' : 'MISSED'}  ${name} (${mutant.what}), ${seconds} s: ${rules.join('; ') || 'nothing broke'}`,
    );
    caught.push({ name, rules, seconds });
  }
  return caught;
}

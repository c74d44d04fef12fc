import { parseArgs } from 'node:util';
import { MUTANT_NAMES } from '../mutants/run-mutants.js';
import { FAULTS } from '../faults/all-faults.js';

/** What a run is asked for. */
export interface ChaosArguments {
  /** Names of faults; each gets its turn, one after the other, as long as the run lasts. */
  readonly faults: readonly string[];
  /** Faults of the default that cannot be had on this machine, with the reasons. */
  readonly leftOut: ReadonlyMap<string, string>;
  readonly seconds: number;
  readonly seed: number;
  /** Prints nothing but the last line. */
  readonly json: boolean;
  /** Names of planted bugs to run instead of the product as it is; undefined for none. */
  readonly mutants: readonly string[] | undefined;
}

/** A turn of a fault, and the calm after it, on average. */
const SECONDS_EACH = 9;

const USAGE = `usage: npm run chaos [-- --fault NAME,… --seconds N --seed S --json]
       npm run chaos -- --mutants | --mutant NAME,…
faults: ${Object.keys(FAULTS).join(', ')}, none; default: all`;

/** An argument that cannot be used; its message says how to call the program. */
export class UsageError extends Error {
  constructor(problem: string) {
    super(`${problem}\n${USAGE}`);
  }
}

/** @throws UsageError */
export function parseChaosArguments(args: readonly string[]): ChaosArguments {
  const values = optionsOf(args);
  const seed = numberOf('seed', values.seed ?? String(Date.now() % 1_000_000), 0, 2 ** 32 - 1);
  const { faults, leftOut } = faultsOf(values.fault, seed);
  return {
    faults,
    leftOut,
    seconds: numberOf('seconds', values.seconds ?? String(secondsFor(faults)), 1, 86_400),
    seed,
    json: values.json ?? false,
    mutants: mutantsOf(values),
  };
}

/** @throws UsageError for a name that is not known, or a fault that cannot be had here */
function faultsOf(given: string | undefined, seed: number): Pick<ChaosArguments, 'faults' | 'leftOut'> {
  const faults = (given?.split(',') ?? Object.keys(FAULTS)).filter((name) => name !== 'none');
  const unknown = faults.filter((name) => !Object.hasOwn(FAULTS, name));
  if (unknown.length > 0) throw new UsageError(`unknown fault ${unknown.join(', ')}`);
  const leftOut = new Map<string, string>();
  for (const name of faults) {
    const why = FAULTS[name]?.unavailable?.({ faults, seed });
    if (why === undefined) continue;
    if (given !== undefined) throw new UsageError(`fault ${name} cannot be had here: ${why}`);
    leftOut.set(name, why);
  }
  return { faults: faults.filter((name) => !leftOut.has(name)), leftOut };
}

/** As long as each fault needs for one turn, about, and at least a minute. */
function secondsFor(faults: readonly string[]): number {
  return Math.max(60, faults.length * SECONDS_EACH);
}

function optionsOf(args: readonly string[]): {
  fault?: string | undefined;
  seconds?: string | undefined;
  seed?: string | undefined;
  json?: boolean | undefined;
  mutants?: boolean | undefined;
  mutant?: string | undefined;
} {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        fault: { type: 'string' },
        seconds: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        mutants: { type: 'boolean' },
        mutant: { type: 'string' },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function mutantsOf({
  mutants,
  mutant,
}: {
  mutants?: boolean | undefined;
  mutant?: string | undefined;
}): string[] | undefined {
  const names = mutant?.split(',') ?? (mutants === true ? MUTANT_NAMES : undefined);
  const unknown = names?.filter((name) => !MUTANT_NAMES.includes(name)) ?? [];
  if (unknown.length > 0) throw new UsageError(`unknown planted bug ${unknown.join(', ')}`);
  return names === undefined ? undefined : [...names];
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max)
    throw new UsageError(
      `--${name} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`,
    );
  return value;
}

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultTable } from './report/fault-table.js';
import { timelineSvg } from './report/timeline-svg.js';
import { parseChaosArguments, UsageError } from './runner/arguments.js';
import { runMutants } from './mutants/run-mutants.js';
import { runInMountNamespace } from './runner/mount-namespace.js';
import { runChaos } from './runner/run-chaos.js';
import { summarise } from './report/summary.js';

/** Where the pictures go, in the current folder. */
const REPORT = 'chaos-report';
/** Violations that are printed of each rule. */
const SHOWN = 5;

async function main(args: readonly string[]): Promise<number> {
  const wanted = parseChaosArguments(args);
  if (wanted.faults.includes('disk-full')) {
    const code = await runInMountNamespace();
    if (code !== undefined) return code;
  }
  const print = wanted.json ? () => {} : (line: string): void => console.log(line);
  if (wanted.mutants !== undefined) {
    const caught = await runMutants(wanted.mutants, wanted.seed, print);
    const missed = caught.filter(({ isCaught }) => !isCaught).map(({ name }) => name);
    console.log(JSON.stringify({ mutants: caught.length, caught: caught.length - missed.length, missed }));
    return missed.length === 0 ? 0 : 1;
  }
  for (const [name, why] of wanted.leftOut) print(`fault ${name} is left out: ${why}`);
  print(`seed ${wanted.seed}, ${wanted.seconds} s, faults: ${wanted.faults.join(', ') || 'none'}`);
  const result = await runChaos({ ...wanted, keepIn: join(REPORT, `seed-${wanted.seed}`) }, print);
  const shown = new Map<string, number>();
  for (const { rule, what } of result.violations) {
    const times = (shown.get(rule) ?? 0) + 1;
    shown.set(rule, times);
    if (times <= SHOWN) print(`broken: ${rule}: ${what}`);
  }
  if (wanted.faults.length > 0) print(faultTable(result));
  mkdirSync(REPORT, { recursive: true });
  writeFileSync(join(REPORT, `seed-${wanted.seed}.svg`), timelineSvg(result.evidence));
  const summary = summarise(wanted, result);
  console.log(JSON.stringify(summary));
  return summary.verdict === 'pass' ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
// A fault that failed may have left a connection open.
process.exit();

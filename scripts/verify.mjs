/** All checks of the project, one after the other; all of them run, even if some fail. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { runScript } from './npm-script.mjs';
import { interruption, Interrupted, projectRoot } from './processes.mjs';

const CHECKS = [
  { name: 'format', script: 'format:check' },
  // Compiles too: the type-aware linter reads the libraries' compiled declarations.
  { name: 'types', script: 'typecheck' },
  { name: 'lint', script: 'lint' },
  { name: 'layers', script: 'layers' },
  { name: 'generated', script: 'generate:sql', args: ['--check'] },
  { name: 'public names', script: 'generate:api', args: ['--check'] },
  { name: 'licences', script: 'sbom' },
];

/** In CI: every fault, and the simulator. What they print last repeats them. */
const PROOFS = [
  { name: 'chaos', script: 'chaos', args: [] },
  { name: 'simulator', script: 'simulate', args: ['--schedules', '100000'] },
];

/**
 * Each state of the sources has a seed of its own, so that its run can be repeated: before it is pushed, and after it has
 * failed.
 */
function seedOfSources() {
  const { stdout } = spawnSync('git', ['rev-parse', 'HEAD^{tree}'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  const seed = Number.parseInt(stdout?.slice(0, 7) ?? '', 16);
  return Number.isNaN(seed) ? [] : ['--seed', String(seed)];
}

/** Suites that skip nothing without Redis, and test other things with it. */
const DIFFERENT_WITH_REDIS = ['test/shop/demo.spec.ts'];

/**
 * WAYBILL_VERIFY_RESULTS names a folder for the results as JSON: verify.json, and one jest-*.json per run of the tests.
 *
 * In CI (CI=true) the whole suite runs on a bare machine first, which proves that Node is all it needs. What was
 * skipped there then runs with the programs that it needs, and a missing program is an error. So every test runs once,
 * and the proof costs minutes instead of a second run of everything.
 * @returns {Promise<number>} 1 when any step failed
 */
export async function verify() {
  const folder = process.env.WAYBILL_VERIFY_RESULTS ?? join(projectRoot, '.waybill', 'verify');
  mkdirSync(folder, { recursive: true });
  const results = [];
  const step = async ({ name, script, args, env }) => {
    process.stdout.write(`\n== ${name}\n`);
    const started = Date.now();
    const code = await runScript(script, args, env);
    if (interruption() !== undefined) throw new Interrupted(interruption());
    results.push({ name, passed: code === 0, seconds: (Date.now() - started) / 1_000 });
  };
  for (const check of CHECKS) await step(check);
  if (process.env.CI === 'true') {
    const bare = join(folder, 'jest-bare.json');
    await step({ name: 'tests, with Node alone', script: 'test:bare', env: { WAYBILL_JEST_JSON: bare } });
    const rest = {
      args: ['--runTestsByPath', ...leftOut(bare), ...DIFFERENT_WITH_REDIS],
      env: { WAYBILL_JEST_JSON: join(folder, 'jest-rest.json') },
    };
    await step({ name: 'tests, what that left out', script: 'test', ...rest });
    for (const { args, ...proof } of PROOFS) await step({ ...proof, args: [...args, ...seedOfSources()] });
  } else {
    await step({
      name: 'tests',
      script: 'test',
      env: { WAYBILL_JEST_JSON: join(folder, 'jest-all.json') },
    });
  }
  writeFileSync(join(folder, 'verify.json'), JSON.stringify(results));
  process.stdout.write('\n');
  for (const { name, passed, seconds } of results) {
    process.stdout.write(`${passed ? 'passed' : 'FAILED'}  ${seconds.toFixed(1).padStart(6)} s  ${name}\n`);
  }
  return results.every(({ passed }) => passed) ? 0 : 1;
}

/** The suites in which a Jest run skipped a test. */
function leftOut(path) {
  if (!existsSync(path)) return [];
  return JSON.parse(readFileSync(path, 'utf8'))
    .testResults.filter(({ assertionResults }) => assertionResults.some(({ status }) => status === 'pending'))
    .map(({ name }) => relative(projectRoot, name));
}

/** All checks of the project, one after the other; all of them run, whatever fails. */
import { writeFileSync } from 'node:fs';
import { npmCli } from './set-up/install.mjs';
import { interruption, Interrupted, run } from './processes.mjs';

const STEPS = [
  { name: 'format', script: 'format:check' },
  // Compiles as well: the linter that knows types reads the libraries' compiled declarations.
  { name: 'types', script: 'typecheck' },
  { name: 'lint', script: 'lint' },
  { name: 'layers', script: 'layers' },
  { name: 'generated', script: 'generate:sql', args: ['--check'] },
  { name: 'tests', script: 'test' },
];

/**
 * WAYBILL_VERIFY_JSON names a file for the results, for programs.
 * @returns {Promise<number>} 1 when any step failed
 */
export async function verify() {
  const results = [];
  for (const { name, script, args = [] } of STEPS) {
    process.stdout.write(`\n== ${name}\n`);
    const started = Date.now();
    const code = await runScript(script, args);
    if (interruption() !== undefined) throw new Interrupted(interruption());
    results.push({ name, passed: code === 0, seconds: (Date.now() - started) / 1_000 });
  }
  const path = process.env.WAYBILL_VERIFY_JSON;
  if (path !== undefined) writeFileSync(path, JSON.stringify(results));
  process.stdout.write('\n');
  for (const { name, passed, seconds } of results) {
    process.stdout.write(`${passed ? 'passed' : 'FAILED'}  ${seconds.toFixed(1).padStart(6)} s  ${name}\n`);
  }
  return results.every(({ passed }) => passed) ? 0 : 1;
}

async function runScript(script, args) {
  const cli = npmCli();
  const npmArgs = ['run', '--silent', script, ...(args.length > 0 ? ['--', ...args] : [])];
  return cli === undefined ? run('npm', npmArgs) : run(process.execPath, [cli, ...npmArgs]);
}

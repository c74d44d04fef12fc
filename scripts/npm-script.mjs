/** Runs a script of package.json. */
import { npmCli } from './set-up/install.mjs';
import { run } from './processes.mjs';

/**
 * @param {Record<string, string | undefined>} env the differences from this process's environment
 * @returns {Promise<number>} its exit code
 */
export function runScript(script, args = [], env = {}) {
  const cli = npmCli();
  const npmArgs = ['run', '--silent', script, ...(args.length > 0 ? ['--', ...args] : [])];
  return cli === undefined ? run('npm', npmArgs, { env }) : run(process.execPath, [cli, ...npmArgs], { env });
}

/**
 * A machine with Node and nothing else, as far as the tests can tell: the PATH is a folder with links to Node, npm, npx
 * and a shell, so that redis-server, pgbouncer, psql, postgres and java are not found; nothing can be written to HOME;
 * and DATABASE_URL, REDIS_URL and CI are unset. Tests that need more are skipped there, and say so.
 */
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const PROGRAMS = ['node', 'npm', 'npx', 'sh'];
const UNSET = ['DATABASE_URL', 'REDIS_URL', 'CI'];

/**
 * @param {(environment: Record<string, string | undefined>) => Promise<number>} work receives the environment of that
 *   machine
 * @returns {Promise<number>} the result of `work`
 */
export async function onBareMachine(work) {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bare-'));
  try {
    for (const name of PROGRAMS) symlinkSync(locate(name), join(folder, name));
    // A file instead of a folder: root may write into a read-only folder, but no user into a file.
    const home = join(folder, 'home');
    writeFileSync(home, '');
    return await work({
      PATH: folder,
      HOME: home,
      // npm's own configuration file, with the registry, stays where it was; its cache does not.
      npm_config_userconfig: process.env.npm_config_userconfig ?? join(homedir(), '.npmrc'),
      npm_config_cache: join(home, '.npm'),
      ...Object.fromEntries(UNSET.map((name) => [name, undefined])),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function locate(name) {
  if (name === 'node') return process.execPath;
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not on the PATH. Install it and run again.`);
  return found;
}

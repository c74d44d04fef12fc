/** Installs the dependencies when they are missing or differ from package-lock.json. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { capture, projectRoot } from '../processes.mjs';

const MODULES = join(projectRoot, 'node_modules');
const STAMP = join(MODULES, '.waybill-lock');

/** Whether node_modules matches package-lock.json. */
export function isInstalled() {
  const wanted = stampOf(readLock());
  const { devDependencies = {} } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  if (!Object.keys(devDependencies).every((name) => existsSync(join(MODULES, name, 'package.json'))))
    return false;
  if (existsSync(STAMP)) {
    const [hash, platform] = readFileSync(STAMP, 'utf8').split(' ');
    if (`${hash} ${platform}` === wanted) return true;
    // The same folder on another system, for example a container, has the wrong binaries.
    if (platform !== wanted.split(' ')[1]) return false;
  }
  if (!matchesInstalledLock()) return false;
  writeFileSync(STAMP, wanted);
  return true;
}

/** @throws {Error} with npm's output */
export async function install(say) {
  say('installing dependencies (npm ci); this takes about half a minute, once');
  const started = Date.now();
  let result = await npm(['ci']);
  if (result.code !== 0 && /from lock file/.test(result.output)) {
    // The registry that wrote the lock file lacked packages of this platform.
    say('npm ci found packages of this platform missing in package-lock.json; trying npm install');
    result = await npm(['install', '--no-save']);
  }
  if (result.code !== 0) {
    throw new Error(
      `npm could not install the dependencies:\n${result.output.trim()}\nCheck the registry and run again.`,
    );
  }
  writeFileSync(STAMP, stampOf(readLock()));
  say(`dependencies installed in ${Math.round((Date.now() - started) / 1_000)} s`);
}

function readLock() {
  return readFileSync(join(projectRoot, 'package-lock.json'), 'utf8');
}

function stampOf(lock) {
  const hash = createHash('sha256').update(lock).digest('hex');
  return `${hash} ${process.platform}-${process.arch}`;
}

/** npm's own record of what it installed, for users who ran npm themselves. */
function matchesInstalledLock() {
  const record = join(MODULES, '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = JSON.parse(readLock()).packages;
  return Object.entries(wanted).every(([path, { version, optional, peer, link }]) => {
    if (!path.startsWith('node_modules/') || optional === true || peer === true) return true;
    return link === true ? existsSync(join(projectRoot, path)) : installed[path]?.version === version;
  });
}

async function npm(args) {
  const env = {
    // No other downloads or notices: only the registry may be needed.
    CHECKPOINT_DISABLE: '1',
    PRISMA_SKIP_POSTINSTALL_GENERATE: '1',
    npm_config_update_notifier: 'false',
  };
  // The tests need everything that NODE_ENV or the user's settings omit.
  const flags = ['--include=dev', '--include=optional', '--loglevel=error'];
  const cli = npmCli();
  if (cli !== undefined) return capture(process.execPath, [cli, ...args, ...flags], { env });
  return capture('npm', [...args, ...flags], { env });
}

/** npm's script, run by this Node: no shell, so that no path needs quoting on any system. */
export function npmCli() {
  const folder = dirname(process.execPath);
  const candidates = [
    process.env.npm_execpath,
    join(folder, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ];
  return candidates.find((path) => path?.endsWith('npm-cli.js') && existsSync(path));
}

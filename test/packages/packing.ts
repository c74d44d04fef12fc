import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A package as `npm pack` makes it. */
export interface Packed {
  readonly name: string;
  /** Path of the tarball. */
  readonly path: string;
  /** Paths in the package. */
  readonly files: readonly string[];
}

/** What a program wrote. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in `cwd` to its end. @throws with all of its output when it fails */
export async function run(
  cwd: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ran> {
  try {
    return await promisify(execFile)(command, args, {
      cwd,
      env,
      maxBuffer: 1 << 26,
      shell: process.platform === 'win32',
    });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Partial<Ran>;
    throw new Error(`${command} ${args.join(' ')} failed in ${cwd}\n${stdout}\n${stderr}`, { cause: error });
  }
}

/** A folder for a test, outside the workspace, so that nothing is resolved by chance from its `node_modules`. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'waybill-packages-')));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Packs every library into `folder`, as they would be published. */
export async function packAll(folder: string): Promise<Packed[]> {
  await mkdir(folder, { recursive: true });
  const { stdout } = await run(ROOT, 'npm', [
    'pack',
    '--workspaces',
    '--ignore-scripts',
    '--pack-destination',
    folder,
    '--json',
  ]);
  const packed = JSON.parse(stdout) as { name: string; filename: string; files: { path: string }[] }[];
  return packed.map(({ name, filename, files }) => ({
    name,
    path: join(folder, filename),
    files: files.map(({ path }) => path),
  }));
}

/** Dependencies that name the tarballs, without the test equipment. */
export function dependenciesOn(packed: readonly Packed[]): Record<string, string> {
  const forUse = packed.filter(({ name }) => name !== '@waybill/testing');
  return Object.fromEntries(forUse.map(({ name, path }) => [name, `file:${path}`]));
}

/** Installs what the `package.json` of `folder` names, from npm's cache if possible. */
export async function install(folder: string): Promise<void> {
  await run(folder, 'npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']);
}

/** Writes files by their paths in `folder`; a value that is not a string as JSON. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string | object>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(
      path,
      typeof content === 'string' ? content : `${JSON.stringify(content, undefined, 2)}\n`,
    );
  }
}

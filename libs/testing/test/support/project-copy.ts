import { existsSync, readFileSync } from 'node:fs';
import { chmod, cp, lstat, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { platformPackageName } from '../../src/postgres/native-binaries.js';
import { PACKAGE_ROOT } from './processes.js';

const NODE_MODULES = resolve(PACKAGE_ROOT, '..', '..', 'node_modules');

/**
 * Copies the compiled package and what it needs into a separate project, as `npm ci --ignore-scripts` would leave it:
 * without the symbolic links between the libraries.
 */
export async function copyProject(root: string): Promise<{ packageRoot: string; script: string }> {
  const packageRoot = join(root, 'libs', 'testing');
  await mkdir(packageRoot, { recursive: true });
  for (const part of ['bin', 'dist', 'package.json', 'test/fixtures']) {
    await cp(join(PACKAGE_ROOT, part), join(packageRoot, part), { recursive: true });
  }
  const platform = platformPackageName(process.platform, process.arch);
  for (const name of [platform, ...dependenciesOf('pg')]) {
    await cp(join(NODE_MODULES, name), join(root, 'node_modules', name), {
      recursive: true,
      filter: isNoLink,
    });
  }
  await chmod(root, 0o755);
  return { packageRoot, script: join(packageRoot, 'test', 'fixtures', 'hold-server.mjs') };
}

async function isNoLink(path: string): Promise<boolean> {
  return !(await lstat(path)).isSymbolicLink();
}

function dependenciesOf(name: string, found = new Set<string>()): Set<string> {
  const manifest = join(NODE_MODULES, name, 'package.json');
  if (found.has(name) || !existsSync(manifest)) return found;
  found.add(name);
  const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(
    readFileSync(manifest, 'utf8'),
  );
  for (const dependency of Object.keys(dependencies)) dependenciesOf(dependency, found);
  return found;
}

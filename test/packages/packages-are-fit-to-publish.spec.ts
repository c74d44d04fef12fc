import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { publint } from 'publint';
import { packAll, type Packed, ROOT, temporaryFolder } from './packing.js';

interface Manifest {
  readonly name: string;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly peerDependenciesMeta?: Record<string, { readonly optional?: boolean }>;
  readonly optionalDependencies?: Record<string, string>;
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const libraries = readdirSync(join(ROOT, 'libs'));
const manifests = libraries.map((name) => JSON.parse(read(`libs/${name}/package.json`)) as Manifest);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let packed: readonly Packed[];
beforeAll(async () => {
  folder = await temporaryFolder();
  packed = await packAll(folder.path);
});
afterAll(() => folder.remove());

const find = (library: string): Packed => {
  const found = packed.find(({ name }) => name === `@waybill/${library}`);
  if (found === undefined) throw new Error(`${library} was not packed`);
  return found;
};

test.each(libraries)('@waybill/%s holds only what it needs', (library) => {
  const { files } = find(library);
  expect(files).toEqual(
    expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']),
  );
  const own: Readonly<Record<string, string>> = { testing: '|bin', nestjs: '|schematics' };
  const folders = `dist|src${own[library] ?? ''}`;
  const others = files.filter(
    (file) => !new RegExp(`^((${folders})/.*|LICENSE|README.md|package.json)$`).test(file),
  );
  expect(others).toEqual([]);
  expect(files.filter((file) => file.endsWith('.tsbuildinfo'))).toEqual([]);
  // Every module with its types, and the source that a debugger and "go to definition" look for.
  for (const file of files.filter((name) => /^src\/.*\.ts$/.test(name))) {
    const compiled = file.replace(/^src/, 'dist').replace(/\.ts$/, '');
    expect(files).toEqual(expect.arrayContaining([`${compiled}.js`, `${compiled}.d.ts`]));
  }
  if (library === 'testing') expect(files).toContain('bin/lifeline.mjs');
});

test.each(libraries)('publint finds nothing in @waybill/%s', async (library) => {
  const tarball = new Uint8Array(readFileSync(find(library).path)).buffer;
  const { messages } = await publint({ pack: { tarball }, strict: true });
  expect(messages.filter(({ type }) => type !== 'suggestion')).toEqual([]);
});

test.each(libraries)('the types of @waybill/%s are those of its modules, as ESM', async (library) => {
  const result = await checkPackage(createPackageFromTarballData(readFileSync(find(library).path)), {
    // A program, not a module to import.
    excludeEntrypoints: ['./command'],
  });
  if (result.types === false) throw new Error(`${library} has no types`);
  // The profile "esm-only": older resolutions, and CommonJS as TypeScript knew it before Node could load ESM there.
  const kept = result.problems.filter(
    (problem) =>
      !('resolutionKind' in problem && ['node10', 'node16-cjs'].includes(problem.resolutionKind)) &&
      problem.kind !== 'CJSResolvesToESM',
  );
  expect(kept).toEqual([]);
});

const isForeign = ([name]: [string, string]): boolean => !name.startsWith('@waybill/');
const isOptional = (manifest: Manifest, name: string): boolean =>
  manifest.peerDependenciesMeta?.[name]?.optional === true ||
  manifest.optionalDependencies?.[name] !== undefined;

test('docs/DEPENDENCIES.md lists every external dependency, and no other', () => {
  const rows = manifests.flatMap((manifest) =>
    (['dependencies', 'peerDependencies', 'optionalDependencies'] as const).flatMap((kind) =>
      Object.entries(manifest[kind] ?? {})
        .filter(isForeign)
        .map(([name, range]) => {
          const how =
            kind === 'peerDependencies'
              ? isOptional(manifest, name)
                ? 'optional peer'
                : 'peer'
              : kind === 'optionalDependencies'
                ? 'optional'
                : 'dependency';
          return `${name} | ${range} | ${manifest.name.replace('@waybill/', '')} | ${how}`;
        }),
    ),
  );
  const told = [
    ...read('docs/DEPENDENCIES.md')
      .replaceAll('\\|', '¦')
      .matchAll(/^\| `([^`]+)` \| `([^`]+)` \| (\S+) \| ([^|]+) \| (.+) \|$/gm),
  ];
  const listed = told.flatMap(([, name, range, libs, how]) =>
    (libs ?? '')
      .split(',')
      .map((library) => `${name} | ${range?.replaceAll('¦', '|')} | ${library} | ${how}`),
  );
  expect(listed.toSorted()).toEqual(rows.toSorted());
  for (const [, name, , , , reason] of told) expect([name, (reason ?? '').length > 10]).toEqual([name, true]);
});

test('no user has to install Redis, an ORM or a tracer', () => {
  const only = /redis|bullmq|prisma|typeorm|drizzle|kysely|knex|mikro|postgres$|opentelemetry|terminus/;
  const forced = manifests.flatMap((manifest) =>
    Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).filter(
      (name) => only.test(name) && !isOptional(manifest, name),
    ),
  );
  expect(forced).toEqual([]);
});

test('the libraries depend on each other in exactly this version', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const ranges = manifests.flatMap(({ dependencies = {} }) =>
    Object.entries(dependencies).filter((entry) => !isForeign(entry)),
  );
  expect(ranges.filter(([, range]) => range !== version)).toEqual([]);
});

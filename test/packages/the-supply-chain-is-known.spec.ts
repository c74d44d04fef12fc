import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from '@jest/globals';
import { ROOT, run, temporaryFolder, packAll } from './packing.js';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly repository?: { readonly type: string; readonly url: string; readonly directory?: string };
  readonly publishConfig?: Readonly<Record<string, unknown>>;
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
/** A script for Node alone, without declarations. */
const { refusedLicences } = (await import(new URL('../../scripts/licences.mjs', import.meta.url).href)) as {
  refusedLicences(
    packages: readonly { name: string; version: string; licence: string | undefined }[],
  ): readonly string[];
};
const libraries = readdirSync(join(ROOT, 'libs'));

test.each(['.', ...libraries.map((name) => `libs/${name}`)])('%s names its origin', (folder) => {
  const { license, repository, publishConfig, ...rest } = readJson(`${folder}/package.json`) as Manifest;
  expect({ license, type: repository?.type }).toEqual({ license: 'MIT', type: 'git' });
  expect(repository?.url).toBe('git+https://github.com/waybill/waybill.git');
  if (folder === '.') expect(rest.private).toBe(true);
  else {
    expect(repository?.directory).toBe(folder);
    expect(publishConfig).toEqual({ access: 'public', provenance: true });
  }
});

test('packages hold no tests, and no path of the machine that built them', async () => {
  const folder = await temporaryFolder();
  try {
    for (const { name, files } of await packAll(folder.path)) {
      const library = name.replace('@waybill/', '');
      expect(files.filter((file) => /(^|\/)tests?\/|\.(spec|test)\./.test(file))).toEqual([]);
      for (const file of files.filter((one) => /\.(js|ts|map|json|mjs|cjs)$/.test(one))) {
        const text = readFileSync(join(ROOT, 'libs', library, file), 'utf8');
        expect([file, text.includes(normalize(ROOT).replace(/\/$/, ''))]).toEqual([file, false]);
        if (!file.endsWith('.map')) continue;
        const { sources } = JSON.parse(text) as { readonly sources: readonly string[] };
        expect(
          sources.map((source) => join(dirname(file), source)).filter((path) => !files.includes(path)),
        ).toEqual([]);
      }
    }
  } finally {
    await folder.remove();
  }
});

test('npm run sbom writes a bill of materials with every package, offline', async () => {
  await run(ROOT, process.execPath, ['scripts/sbom.mjs'], {
    ...process.env,
    npm_config_registry: 'http://127.0.0.1:1',
  });
  const bill = readJson('.waybill/sbom/bom.cdx.json') as {
    readonly bomFormat: string;
    readonly metadata: { readonly component: { readonly name: string } };
    readonly components: readonly { readonly purl: string }[];
  };
  expect(bill.bomFormat).toBe('CycloneDX');
  expect(bill.metadata.component.name).toBe('waybill-workspace');
  const { packages } = readJson('package-lock.json') as { packages: Record<string, { version?: string }> };
  const purls = new Set(bill.components.map(({ purl }) => purl.replace('%40', '@')));
  for (const name of ['pg', 'uuid', 'commander', '@nestjs/core'])
    expect([...purls]).toContain(`pkg:npm/${name}@${packages[`node_modules/${name}`]?.version}`);
  for (const library of libraries) expect([...purls]).toContain(`pkg:npm/@waybill/${library}@0.1.0`);
  const licences = readJson('.waybill/sbom/licences.json') as { readonly licence?: string }[];
  expect(licences.length).toBeGreaterThan(500);
});

test.each([
  ['GPL-3.0-only', false],
  ['MIT AND AGPL-3.0', false],
  [undefined, false],
  ['UNLICENSED', false],
  ['SEE LICENSE IN LICENSE', false],
  ['(MIT OR GPL-3.0)', true],
  ['Apache-2.0 AND MIT', true],
])('the licence %s is allowed: %s', (licence, isAllowed) => {
  expect(refusedLicences([{ name: 'one', version: '1.0.0', licence }])).toHaveLength(isAllowed ? 0 : 1);
});

test('a licence accepted for one package does not cover another', () => {
  expect(refusedLicences([{ name: 'elkjs', version: '1.0.0', licence: 'EPL-2.0' }])).toEqual([]);
  expect(refusedLicences([{ name: 'elkjs', version: '2.0.0', licence: 'GPL-3.0' }])).toHaveLength(1);
  expect(refusedLicences([{ name: 'other', version: '1.0.0', licence: 'EPL-2.0' }])).toHaveLength(1);
});

test.each<[string, number, unknown, RegExp, boolean]>([
  ['has no audit', 405, {}, /does not support audits/, true],
  ['knows of no vulnerability', 200, {}, /Known vulnerabilities of shipped packages: .*"critical":0/, true],
  [
    'knows of a vulnerability',
    200,
    {
      pg: [
        { id: 1, url: 'https://example.org/1', title: 'one', severity: 'critical', vulnerable_versions: '*' },
      ],
    },
    /critical: pg/,
    false,
  ],
])(
  'npm run audit with a registry that %s',
  async (_what, status, advisories, says, passes) => {
    const registry = createServer((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-type': 'application/json' });
      // For a package that an advisory names, npm requests the versions.
      const name = decodeURIComponent((request.url ?? '').slice(1));
      const versions = { '8.23.1': { name, version: '8.23.1' } };
      response.end(JSON.stringify(request.method === 'GET' ? { name, versions } : advisories));
    });
    registry.listen(0, '127.0.0.1');
    await once(registry, 'listening');
    const { port } = registry.address() as AddressInfo;
    const env = {
      ...process.env,
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_fetch_retries: '0',
    };
    try {
      const ran = await run(ROOT, process.execPath, ['scripts/audit.mjs'], env).then(
        ({ stdout }) => ({ passes: true, text: stdout }),
        (error: Error) => ({ passes: false, text: error.message }),
      );
      expect(ran).toEqual({ passes, text: expect.stringMatching(says) });
    } finally {
      registry.close();
    }
  },
  60_000,
);

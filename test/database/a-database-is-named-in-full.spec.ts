import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { Waybill } from '@waybill/nestjs';
import { migrate, migrationStatus } from '@waybill/schema';

const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));

/** The driver would take each of these for the local server, or for a database on it. */
const UNUSABLE = [
  'localhost:5432/shop',
  'db.example.com/shop',
  'shop',
  'shop:s3cret@db.example.com:5432/shop',
  '//shop:s3cret@db.example.com/shop',
  'mysql://shop:s3cret@db.example.com/shop',
  'http://shop:s3cret@db.example.com/shop',
  'postgresql:shop:s3cret@db.example.com/shop',
  ' postgresql://shop:s3cret@db.example.com/shop',
  'postgresql://',
  'postgresql:///shop',
  'postgres://shop:s3cret@/shop',
  'postgres://shop:s3cret@:5432/shop?sslmode=disable',
];

function run(args: readonly string[], DATABASE_URL?: string): Promise<{ code: unknown; said: string }> {
  const { DATABASE_URL: _, PGHOST: _host, ...rest } = process.env;
  const env = { ...rest, ...(DATABASE_URL === undefined ? {} : { DATABASE_URL }) };
  return new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, ...args], { cwd: tmpdir(), env }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, said: `${stdout}${stderr}` }),
    );
  });
}

describe.each(UNUSABLE)('%j', (connectionString) => {
  test('is refused by everything that takes a connection string, and no password is printed', async () => {
    const failures = await Promise.allSettled([
      migrate({ connectionString }),
      migrationStatus({ connectionString }),
      (async () => new PgDatabase({ connectionString }))(),
      (async () => new Waybill('default', { database: { connectionString } }))(),
    ]);
    for (const failure of failures) {
      const { reason } = failure as PromiseRejectedResult;
      expect(reason).toMatchObject({ code: 'CONFIGURATION_INVALID' });
      expect(String(reason)).toMatch(/postgresql:\/\//);
      expect(String(reason)).not.toContain('s3cret');
    }
  });

  test('is refused by the command', async () => {
    const said = await Promise.all([
      run(['--database-url', connectionString, 'migrate']),
      run(['--database-url', connectionString, 'doctor']),
      run(['migrate', '--status'], connectionString),
      run(['status'], connectionString),
    ]);
    for (const { code, said: text } of said) {
      expect([1, 2]).toContain(code);
      expect(text).toMatch(/connection string is not usable.*postgresql:\/\//);
      expect(text).not.toContain('s3cret');
    }
  });
});

test.each(['', undefined])('%j names no database', async (url) => {
  for (const command of ['migrate', 'doctor', 'status']) {
    const { code, said } = await run(url === undefined ? [command] : ['--database-url', url, command]);
    expect([1, 2]).toContain(code);
    expect(said).toMatch(/set DATABASE_URL, use --database-url/);
  }
  await expect(migrate({ connectionString: url as string })).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
  });
});

test.each([
  'postgresql://shop@localhost/shop',
  'postgresql:///shop?host=/var/run/postgresql',
  'postgres://[::1]:5432/shop',
  'socket:/var/run/postgresql?db=shop',
  '/var/run/postgresql shop',
])('%j is usable', async (connectionString) => {
  await new PgDatabase({ connectionString }).close();
});

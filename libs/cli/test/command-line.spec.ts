import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase } from '@waybill/testing';

const COMMAND = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

let folder: string;
let database: TestDatabase;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
  database = await testDatabase('command_line');
  await migrate({ connectionString: database.connectionString });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

interface Ran {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as a program, in its own folder, with no database address in its environment. */
function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const { DATABASE_URL: _, ...rest } = process.env;
  return new Promise((resolve) => {
    execFile(file, args, { cwd: folder, env: { ...rest, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? null), stdout, stderr });
    });
  });
}

const waybill = (...args: string[]): Promise<Ran> => run(process.execPath, [COMMAND, ...args]);

describe('the command', () => {
  test('prints its version', async () => {
    expect(await waybill('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each([
    ['plain', ''],
    ['with a mark of Windows', '\u{feff}'],
    ['with a mark, and something before', '\u{feff}PORT=1\r\n'],
  ])('reads a .env %s', async (_name, before) => {
    writeFileSync(join(folder, '.env'), `${before}DATABASE_URL=${database.connectionString}\r\n`);
    const { code, stdout, stderr } = await waybill('migrate', '--status');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('0001-acl');
    rmSync(join(folder, '.env'));
  });

  test('ends quietly when the reader closes its output', async () => {
    const sql = `'${process.execPath}' '${COMMAND}' sql; echo "code $?" >&2`;
    const { stdout, stderr } = await run('sh', ['-c', `{ ${sql}; } | { read -r line; echo "$line"; }`]);
    expect(stdout).toBe('begin;\n');
    expect(stderr).toBe('code 0\n');
  });

  test('reports that Node is too old before anything else fails', async () => {
    const old = join(folder, 'old.cjs');
    writeFileSync(old, `Object.defineProperty(process.versions, 'node', { value: '18.20.4' });`);
    expect(await run(process.execPath, ['--require', old, COMMAND, 'migrate'])).toEqual({
      code: 2,
      stdout: '',
      stderr: 'waybill: Node 18.20.4 is too old. Install Node 20.19 or later.\n',
    });
  });

  test.each([
    [['asyncapi', '--module', 'dist/none.js'], /dist\/none\.js cannot be described: the file does not exist/],
    [['saga', 'verify', '--definitions', 'none.js'], /The definitions cannot be read: none\.js: .*/],
    [['--database-url', 'mysql://root:secret@127.0.0.1/shop', 'migrate', '--status'], /, not with mysql:/],
    [['--database-url', '', 'migrate', '--status'], /set DATABASE_URL, use --database-url/],
    [['migrate', '--json'], /use it with --status/],
    [['doctor', '--retry-horizon', 'long'], /must be a duration, such as/],
    [['topics', 'lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
  ])('reports what is wrong with %j', async (words, says) => {
    const { code, stderr } = await waybill(...words);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(says);
    expect(stderr).not.toMatch(/ {4}at |secret/);
  });
});

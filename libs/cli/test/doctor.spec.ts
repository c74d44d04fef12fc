import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { PgDatabase, silentLogger, systemClock } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { grantStatements, migrate } from '@waybill/schema';
import { assertRowsVisible } from '@waybill/schema/internal';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { CommanderError } from 'commander';
import pg from 'pg';
import { checkRowSecurity } from '../src/doctor/check-databases.js';
import { examine } from '../src/doctor/doctor.js';
import type { Finding } from '../src/doctor/finding.js';

let made: TestDatabase;
let pool: pg.Pool;
beforeEach(async () => {
  made = await testDatabase('doctor');
  pool = new pg.Pool({ connectionString: made.connectionString });
});
afterEach(async () => {
  process.exitCode = undefined;
  await pool.end();
  await made.drop();
});

async function doctor(...options: string[]): Promise<{ text: string; code: typeof process.exitCode }> {
  let text = '';
  const program = createProgram({ write: (part) => (text += part) });
  await program.parseAsync(['--database-url', made.connectionString, 'doctor', ...options], { from: 'user' });
  const code = process.exitCode;
  process.exitCode = undefined;
  return { text, code };
}

async function finding(check: string, ...options: string[]): Promise<Finding | undefined> {
  const { text } = await doctor('--json', ...options);
  return (JSON.parse(text) as Finding[]).find((found) => found.check === check);
}

const migrated = (): Promise<unknown> => migrate({ connectionString: made.connectionString });

test('a healthy database', async () => {
  await migrated();
  const { text, code } = await doctor();
  expect(text.trimEnd().split('\n')).toEqual(
    [
      'postgresql',
      'isolation',
      'clock',
      'pooler',
      'transactions',
      'migrations',
      'privileges',
      'row security',
      'retention',
      'consumers',
    ].map((check) => expect.stringMatching(new RegExp(`^ok {7}${check} +\\S`))),
  );
  expect(code).toBe(undefined);
});

test('missing migrations', async () => {
  expect((await doctor()).code).toBe(1);
  expect((await doctor()).text).toMatch(/^problem {2}migrations .* -> Run `npx waybill migrate`/m);
});

test('row-level security that hides rows of Waybill from this login', async () => {
  await migrated();
  const login = `tenant_${made.name}`;
  const url = new URL(made.connectionString);
  await pool.query(`create role ${login} login password 'secret'`);
  try {
    await pool.query(`grant usage on schema waybill to ${login}`);
    await pool.query(`grant all on all tables in schema waybill to ${login}`);
    await pool.query(`grant all on all sequences in schema waybill to ${login}`);
    await pool.query('alter table waybill.topic_partition enable row level security');
    url.username = login;
    url.password = 'secret';
    const session = new PgDatabase({ connectionString: url.href, connectionsMax: 1 });
    try {
      await expect(assertRowsVisible(session.session, silentLogger)).rejects.toThrow(
        /row-level security hides every row of topic_partition/,
      );
      await pool.query('create policy open_to_all on waybill.topic_partition using (true)');
      const lines: string[] = [];
      const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
      await assertRowsVisible(session.session, logger);
      expect(lines).toEqual([expect.stringContaining('row-level security applies to topic_partition')]);
      expect(await checkRowSecurity(session)).toMatchObject({ state: 'warning' });
    } finally {
      await session.close();
    }
  } finally {
    await pool.query(`drop owned by ${login}`);
    await pool.query(`drop role ${login}`);
  }
});

test('another isolation level by default', async () => {
  await pool.query(`alter database ${made.name} set default_transaction_isolation to 'repeatable read'`);
  expect(await finding('isolation')).toMatchObject({
    state: 'problem',
    text: expect.stringContaining('REPEATABLE READ'),
    advice: expect.stringContaining('alter database'),
  });
});

test('a transaction that stays open', async () => {
  await migrated();
  const client = await pool.connect();
  await client.query('begin');
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  expect(await finding('transactions')).toMatchObject({ state: 'ok' });
  await waitUntil(
    async () => (await finding('transactions', '--transaction-age', '0'))?.state === 'problem',
    {
      describe: 'the transaction is seen',
    },
  );
  expect((await finding('transactions', '--transaction-age', '0'))?.text).toContain(
    `session ${rows[0]?.pid} of`,
  );
  await client.query('rollback');
  client.release();
  expect(await finding('transactions', '--transaction-age', '0')).toMatchObject({ state: 'ok' });
});

test('a login that may only publish, and one without rights', async () => {
  await migrated();
  const role = `doctor_${made.name.slice(-12)}`;
  await pool.query(`create role ${role} login password 'x'`);
  try {
    const url = new URL(made.connectionString);
    url.username = role;
    url.password = 'x';
    const other = ['--database-url', url.toString()];
    const ofOther = async (): Promise<Finding | undefined> => {
      let text = '';
      const program = createProgram({ write: (part) => (text += part) });
      await program.parseAsync([...other, 'doctor', '--json'], { from: 'user' });
      return (JSON.parse(text) as Finding[]).find(({ check }) => check === 'privileges');
    };
    expect(await ofOther()).toMatchObject({
      state: 'problem',
      text: expect.stringContaining('not even publish'),
    });
    await pool.query(`grant usage on schema waybill to ${role}`);
    await pool.query(`grant select on waybill.migration, waybill.topic to ${role}`);
    await pool.query(`grant insert on waybill.outbox to ${role}`);
    expect(await ofOther()).toMatchObject({
      state: 'warning',
      text: expect.stringMatching(/may publish, but not relay or consume: it lacks .*and \d+ more/),
    });
    for (const statement of grantStatements({ roles: ['service'], login: role })) await pool.query(statement);
    expect(await ofOther()).toMatchObject({ state: 'ok' });
  } finally {
    await pool.query(`drop owned by ${role}`);
    await pool.query(`drop role ${role}`);
  }
});

test('records that are removed before the retry horizon', async () => {
  await migrated();
  const database = new PgDatabase({ connectionString: made.connectionString });
  await new PostgresLogEngine(database).topics.create('orders', { retentionMs: 3_600_000 });
  await database.close();
  expect(await finding('retention')).toMatchObject({
    state: 'problem',
    text: expect.stringContaining('orders (1 h)'),
    advice: expect.stringContaining('waybill topic set'),
  });
  expect(await finding('retention', '--retry-horizon', '1')).toMatchObject({ state: 'ok' });
});

test.each([
  [60_000, /(60\d\d\d|59\d\d\d) ms behind/],
  [-60_000, /(60\d\d\d|59\d\d\d) ms ahead of/],
])('a machine whose clock is %d ms off', async (byMs, says) => {
  const database = new PgDatabase({ connectionString: made.connectionString });
  const clock = { ...systemClock, now: () => systemClock.now() + byMs };
  const findings = await examine({
    database,
    bus: database,
    clock,
    transactionAgeMs: 300_000,
    retryHorizonMs: 0,
  });
  await database.close();
  expect(findings.find(({ check }) => check === 'clock')).toMatchObject({
    state: 'warning',
    text: expect.stringMatching(says),
  });
});

test('a server that cannot be reached', async () => {
  let text = '';
  const program = createProgram({ write: (part) => (text += part) });
  await program.parseAsync(['--database-url', 'postgresql://x:y@127.0.0.1:1/z', 'doctor'], { from: 'user' });
  expect(text).toMatch(/^problem {2}postgresql .*cannot be reached/);
  expect(process.exitCode).toBe(1);
});

test('incorrect use ends with 2', async () => {
  await expect(doctor('--transaction-age', 'long')).rejects.toMatchObject({ exitCode: 2 });
  await expect(doctor('--colour')).rejects.toThrow(CommanderError);
  const before = process.env['DATABASE_URL'];
  delete process.env['DATABASE_URL'];
  await createProgram({ write: () => {} }).parseAsync(['doctor'], { from: 'user' });
  if (before !== undefined) process.env['DATABASE_URL'] = before;
  expect(process.exitCode).toBe(2);
});

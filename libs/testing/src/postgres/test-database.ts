import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { TestingError } from '../testing-error.js';

/** A database for one test. */
export interface TestDatabase {
  readonly name: string;
  readonly connectionString: string;
  /** Ends its sessions and removes it; no-op when it no longer exists. */
  drop(): Promise<void>;
}

/** Set by Jest's global set-up: the server that all suites of a run share. */
export const TEST_SERVER_VARIABLE = 'WAYBILL_TEST_DATABASE_URL';

/** How long sessions may take to end by themselves before a database is dropped, in milliseconds. */
const ENDING_MS = 1_000;
const OPEN_SESSIONS = 'select count(*)::integer as open from pg_stat_activity where datname = $1';

const PREFIX = /^[a-z][a-z0-9_]{0,40}$/;

/**
 * Creates a database with a random suffix to its name.
 * @param server the server; its user must be allowed to create databases
 * @param prefix of the name: a lower-case letter, then lower-case letters, digits and `_`
 * @param template the database to copy, to which no session may be connected. Default: an empty database
 * @throws TestingError DATABASE_NAME_INVALID
 */
export async function createDatabase(
  server: { readonly connectionString: string },
  prefix: string,
  template = 'template0',
): Promise<TestDatabase> {
  if (!PREFIX.test(prefix)) {
    throw new TestingError(
      'DATABASE_NAME_INVALID',
      `"${prefix}" is not a valid prefix for a database name. Use up to 41 lower-case letters, digits and "_", a letter first.`,
    );
  }
  const name = `${prefix}_${randomBytes(6).toString('hex')}`;
  const quoted = pg.escapeIdentifier(name);
  const source = pg.escapeIdentifier(template);
  await runOn(server.connectionString, `create database ${quoted} template ${source}`);
  const url = new URL(server.connectionString);
  url.pathname = `/${name}`;
  return {
    name,
    connectionString: url.toString(),
    drop: () => dropDatabase(server.connectionString, name),
  };
}

/**
 * A database on the server of this test run, for one suite; drop it in `afterAll`.
 * @throws TestingError TEST_SERVER_MISSING outside a run of Jest
 */
export async function testDatabase(prefix = 'test'): Promise<TestDatabase> {
  return createDatabase({ connectionString: testServerUrl() }, prefix);
}

/** @throws TestingError TEST_SERVER_MISSING */
export function testServerUrl(): string {
  const url = process.env[TEST_SERVER_VARIABLE];
  if (url === undefined || url === '') {
    throw new TestingError(
      'TEST_SERVER_MISSING',
      `No server was started for this test run (${TEST_SERVER_VARIABLE} is not set). Run the tests by "npm test".`,
    );
  }
  return url;
}

/**
 * A pool's `end()` resolves when it has said goodbye, which is before the server has ended the session: one that is forced
 * to end in between tells the pool, which throws where no one handles its errors. So sessions that are ending get a second.
 */
async function dropDatabase(connectionString: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const deadline = performance.now() + ENDING_MS;
    for (let open = 1; open > 0 && performance.now() < deadline;) {
      const { rows } = await client.query<{ open: number }>(OPEN_SESSIONS, [name]);
      open = rows[0]?.open ?? 0;
      if (open > 0) await setTimeout(10);
    }
    await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
  } finally {
    await client.end();
  }
}

async function runOn(connectionString: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { TestingError } from './testing-error.js';

/** A database for one test. */
export interface TestDatabase {
  readonly name: string;
  readonly connectionString: string;
  /** Ends its sessions and removes it; no-op when it no longer exists. */
  drop(): Promise<void>;
}

/** Set by Jest's global set-up: the server that all suites of a run share. */
export const TEST_SERVER_VARIABLE = 'WAYBILL_TEST_DATABASE_URL';

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
    drop: () => runOn(server.connectionString, `drop database if exists ${quoted} with (force)`),
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

async function runOn(connectionString: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

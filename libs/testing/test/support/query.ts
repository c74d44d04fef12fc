import pg from 'pg';
import { waitUntil } from '../../src/index.js';

/** Runs one statement on a separate connection and returns the first value of the first row as text. */
export async function queryValue(connectionString: string, statement: string): Promise<string> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const answer = await client.query<Record<string, unknown>>(statement);
    return String(Object.values(answer.rows[0] ?? {})[0]);
  } finally {
    await client.end();
  }
}

/** A session in the middle of a long query, for tests that end it. */
export interface BusySession {
  /** Resolves with the message of the error that ended it. */
  readonly ended: Promise<string>;
}

export async function busySession(connectionString: string): Promise<BusySession> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  const ended = client.query('select pg_sleep(600)').then(
    () => 'not ended',
    (error: Error) => error.message,
  );
  const busy = `select count(*) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active' and datname = current_database()`;
  await waitUntil(async () => (await queryValue(connectionString, busy)) === '1', {
    describe: 'a busy session',
  });
  return { ended };
}

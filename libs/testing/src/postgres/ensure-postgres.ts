import pg from 'pg';
import { startPostgres, type StartPostgresOptions } from './embedded-postgres.js';
import type { PostgresServer } from './postgres-server.js';
import { describeError } from '../process/system-error.js';
import { TestingError } from '../testing-error.js';

const OLDEST_VERSION = 140_000;
const DEFAULT_PORT = 5_432;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The server of DATABASE_URL if set, else an embedded one.
 * @param options for the embedded one only
 * @throws TestingError SERVER_UNREACHABLE, SERVER_TOO_OLD, and the errors of {@link startPostgres}
 */
export async function ensurePostgres(options: StartPostgresOptions = {}): Promise<PostgresServer> {
  const url = process.env['DATABASE_URL'];
  if (url === undefined || url === '') return startPostgres(options);
  await checkServer(url);
  return new ExternalPostgres(url);
}

class ExternalPostgres implements PostgresServer {
  readonly external = true;
  readonly pid = undefined;
  readonly dataDir = undefined;
  readonly port: number;

  constructor(readonly connectionString: string) {
    this.port = Number(new URL(connectionString).port) || DEFAULT_PORT;
  }

  async start(): Promise<void> {
    // Runs already, or is managed elsewhere.
  }

  async stop(): Promise<void> {
    // Managed elsewhere.
  }

  async restart(): Promise<void> {
    throw this.refusal('restarted');
  }

  async kill(): Promise<void> {
    throw this.refusal('killed');
  }

  private refusal(what: string): TestingError {
    return new TestingError(
      'SERVER_EXTERNAL',
      `The server ${withoutPassword(this.connectionString)} of DATABASE_URL is not managed by Waybill and was not ${what}. ` +
        'Unset DATABASE_URL to use an embedded PostgreSQL.',
    );
  }
}

async function checkServer(url: string): Promise<void> {
  let version: number;
  try {
    version = await readVersion(url);
  } catch (cause) {
    throw new TestingError(
      'SERVER_UNREACHABLE',
      `The server ${withoutPassword(url)} of DATABASE_URL does not respond (${describeError(cause)}). ` +
        'Start it and check the URL, or unset DATABASE_URL to use an embedded PostgreSQL.',
      { cause },
    );
  }
  if (version < OLDEST_VERSION) {
    throw new TestingError(
      'SERVER_TOO_OLD',
      `The server ${withoutPassword(url)} of DATABASE_URL is PostgreSQL ${Math.floor(version / 10_000)}. ` +
        'Use PostgreSQL 14 or later, or unset DATABASE_URL.',
    );
  }
}

async function readVersion(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // Without a listener a lost connection would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const answer = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    return answer.rows[0]?.version ?? 0;
  } finally {
    await client.end();
  }
}

function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return '(not a URL)';
  const url = new URL(text);
  url.password = url.password === '' ? '' : '***';
  return url.toString();
}

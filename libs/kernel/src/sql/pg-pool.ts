import pg from 'pg';
import { describeError, type Logger, silentLogger } from '../logger.js';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import { isWaybillError } from '../errors/waybill-error.js';
import type { BoundStatement } from './bound-statement.js';
import { assertConnectionString } from './connection-string.js';
import { watchFailures } from './failed-statement.js';
import { PgConnection, type PgQueryable, PgSession } from './pg-session.js';
import { DEFAULT_SCHEMA } from './statement.js';
import { translateDatabaseError } from './translate-error.js';

/** How Waybill's own pool of connections is made. */
export interface PgDatabaseOptions {
  readonly connectionString: string;
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Most connections at a time. Default 10. */
  readonly connectionsMax?: number;
  /** How long to wait for a connection, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** `application_name`, by which operators find these sessions. Default `waybill`. */
  readonly applicationName?: string;
  readonly logger?: Logger;
}

/** A pool of connections to one database, and Waybill's schema in it. */
export class PgDatabase {
  readonly schema: string;
  readonly pool: pg.Pool;
  /** Runs single statements, each on any connection of the pool and in a transaction of its own. */
  readonly session: PgSession;
  readonly #connectionString: string;
  readonly #applicationName: string;
  #closed: Promise<void> | undefined;

  /** @throws ConfigurationError for a connection string that is none */
  constructor(options: PgDatabaseOptions) {
    assertConnectionString(options.connectionString);
    this.schema = options.schema ?? DEFAULT_SCHEMA;
    this.#connectionString = options.connectionString;
    this.#applicationName = options.applicationName ?? 'waybill';
    this.pool = new pg.Pool({
      connectionString: options.connectionString,
      max: options.connectionsMax ?? 10,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      application_name: this.#applicationName,
      keepAlive: true,
      // "Order by lock, then look" needs snapshots newer than the lock, whatever the database's default is.
      onConnect: async (client) => {
        await client.query(`set default_transaction_isolation to 'read committed'`);
      },
    });
    const logger = options.logger ?? silentLogger;
    // Without a listener the loss of an idle connection would end the process.
    this.pool.on('error', (error) => logger.warn(`an idle connection was lost: ${describeError(error)}`));
    this.pool.on('connect', watchFailures);
    this.session = new PgSession(this.pool as unknown as PgQueryable, this.schema);
  }

  /** Runs `work` on one connection, which goes back to the pool afterwards: closed, if it is in an unknown state. */
  async withConnection<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.pool.connect();
    } catch (error) {
      throw translateConnectError(error);
    }
    // pg reports a broken socket on the client as well; the query under way has got the error already.
    const ignore = (): void => {};
    client.on('error', ignore);
    try {
      return await work(new PgConnection(client, this.schema));
    } finally {
      client.off('error', ignore);
      client.release(client.getTransactionStatus() !== 'I');
    }
  }

  /** Runs `work` in a READ COMMITTED transaction: commits when it resolves, rolls back when it throws. */
  async transaction<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    return this.withConnection(async (connection) => {
      try {
        await connection.client.query('begin isolation level read committed');
        const result = await work(connection);
        await connection.runBatch([], { commit: true });
        return result;
      } catch (error) {
        await connection.rollback();
        throw translateDatabaseError(error, 'In a transaction');
      }
    });
  }

  /** Runs statements in a READ COMMITTED transaction of their own, in one round trip: all take effect, or none. */
  async runTogether(statements: readonly BoundStatement[]): Promise<void> {
    await this.withConnection(async (connection) => {
      try {
        await connection.runBatch(statements, { begin: true, commit: true });
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }

  /** A connection outside the pool, for LISTEN. The caller ends it. */
  async connectAlone(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#connectionString,
      application_name: this.#applicationName,
      keepAlive: true,
    });
    try {
      await client.connect();
    } catch (error) {
      throw translateConnectError(error);
    }
    return client;
  }

  /** Closes the pool when its connections have come back. Closing twice is closing once. */
  close(): Promise<void> {
    this.#closed ??= this.pool.end();
    return this.#closed;
  }
}

function translateConnectError(error: unknown): Error {
  const translated = translateDatabaseError(error, 'Connecting to the database');
  if (isWaybillError(translated) && translated.code !== 'DATABASE_REFUSED') return translated;
  return new DatabaseUnavailableError(`Connecting to the database failed (${describeError(error)})`, {
    cause: error,
  });
}

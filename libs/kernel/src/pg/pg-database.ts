import type pg from 'pg';
import { guardLogger, type Logger } from '../logger.js';
import { describeError } from '../thrown.js';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import { isWaybillError } from '../errors/waybill-error.js';
import type { BoundStatement } from '../sql/bound-statement.js';
import { isAtRest } from './at-rest.js';
import { closeSocket, DEFAULT_QUERY_TIMEOUT_MS, wasSilent } from './response-deadline.js';
import { assertAddress, type DatabaseAddress, serversOf } from './database-address.js';
import { watchFailures } from '../sql/failed-statement.js';
import { PgConnection } from './pg-session.js';
import { ServerChoice } from './server-choice.js';
import { ServerClient, ServerPool } from './server-pool.js';
import type { SqlSession } from '../sql/sql-session.js';
import { DEFAULT_SCHEMA, type Statement } from '../sql/statement.js';
import { sqlStateOf, translateDatabaseError } from '../sql/translate-error.js';

/** Options of Waybill's connection pool. */
export type PgDatabaseOptions = DatabaseAddress & {
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Maximum number of connections. Default 10. */
  readonly connectionsMax?: number;
  /** How long to wait for a connection, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /**
   * Time limit for the response to one of Waybill's statements, in milliseconds; then its connection is closed. Default
   * 15,000.
   */
  readonly queryTimeoutMs?: number;
  /** `application_name`, by which operators find these sessions. Default `waybill`. */
  readonly applicationName?: string;
  readonly logger?: Logger;
};

/** A connection that was lost while idle. */
export interface ConnectionLoss {
  /** The SQLSTATE with which the server ended it, if it sent one. */
  readonly code: string | undefined;
}

const DEFAULT_CONNECTIONS = 10;
/** How long losses are remembered, in milliseconds. */
const LOSSES_MS = 2_000;
/** The most losses that are remembered. */
const MOST_LOSSES = 100;

/** TCP keep-alive: idle time before the kernel probes the peer, in milliseconds. */
const KEEP_ALIVE_MS = 10_000;
/** How long closing a pool waits for connections that are in use or do not respond, in milliseconds. */
const CLOSE_MS = 2_000;

/** A pool of connections to one database, and Waybill's schema in it. */
export class PgDatabase {
  readonly schema: string;
  readonly pool: pg.Pool;
  /** Runs single statements, each on any connection of the pool and in its own transaction. */
  readonly session: SqlSession;
  readonly queryTimeoutMs: number;
  readonly #connectTimeoutMs: number;
  readonly #servers: ServerChoice;
  readonly #applicationName: string;
  readonly #open = new Set<pg.ClientBase>();
  /** Connections opened before this moment may be dead: one of them did not respond. */
  #doubtful = new WeakSet<pg.ClientBase>();
  #losses: readonly (ConnectionLoss & { readonly at: number })[] = [];
  #closed: Promise<void> | undefined;

  /** @throws ConfigurationError for an invalid address */
  constructor(options: PgDatabaseOptions) {
    assertAddress(options);
    this.schema = options.schema ?? DEFAULT_SCHEMA;
    this.queryTimeoutMs = options.queryTimeoutMs ?? DEFAULT_QUERY_TIMEOUT_MS;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#servers = new ServerChoice(serversOf(options));
    this.#applicationName = options.applicationName ?? 'waybill';
    const pooled = { ...this.#connection(), max: options.connectionsMax ?? DEFAULT_CONNECTIONS };
    this.pool = new ServerPool(this.#servers, pooled, this.#connectTimeoutMs);
    const logger = guardLogger(options.logger);
    // Without a listener the loss of an idle connection would end the process.
    this.pool.on('error', (error) => {
      this.#noteLoss(error);
      logger.warn(`an idle connection was lost: ${describeError(error)}`);
    });
    this.pool.on('connect', watchFailures);
    this.pool.on('connect', (client) => this.#open.add(client));
    this.pool.on('remove', (client) => this.#open.delete(client));
    this.session = new PoolSession(this);
  }

  /**
   * Runs `work` on one connection, which then returns to the pool: closed if its state is unknown, e.g. with a
   * statement that has received no response.
   */
  async withConnection<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    const client = await this.#checkOut();
    // pg reports a broken socket on the client as well; the running query has already received the error.
    const ignore = (): void => {};
    client.on('error', ignore);
    const connection = new PgConnection(client, this.schema, this.queryTimeoutMs);
    try {
      return await work(connection);
    } finally {
      client.off('error', ignore);
      if (wasSilent(client)) this.#doubtOthers();
      const isUnfit = connection.isSpoiled || !isAtRest(client) || client.getTransactionStatus() !== 'I';
      client.release(isUnfit);
    }
  }

  /** Runs `work` in a READ COMMITTED transaction: commits when it resolves, rolls back when it throws. */
  async transaction<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    return this.withConnection(async (connection) => {
      try {
        await connection.runBatch([], { begin: true });
        const result = await work(connection);
        await connection.runBatch([], { commit: true });
        return result;
      } catch (error) {
        await connection.rollback();
        throw translateDatabaseError(error, 'In a transaction');
      }
    });
  }

  /**
   * Runs statements in one READ COMMITTED transaction and one round trip: all take effect, or none. Resolves to
   * the rows of each.
   */
  async runTogether(statements: readonly BoundStatement[]): Promise<unknown[][]> {
    return this.withConnection(async (connection) => {
      try {
        return await connection.runBatch(statements, { begin: true, commit: true });
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }

  /** A connection outside the pool, for LISTEN. The caller ends it. */
  async connectAlone(): Promise<pg.Client> {
    try {
      return await this.#servers.inTurn(this.#connectTimeoutMs, () => this.#connectOnce());
    } catch (error) {
      throw translateConnectError(error);
    }
  }

  async #connectOnce(): Promise<pg.Client> {
    const client = new ServerClient(this.#servers, this.#connection());
    // Its loss must never end the process.
    client.on('error', (error) => this.#noteLoss(error));
    try {
      await client.connect();
      await client.prepare();
      return client;
    } catch (error) {
      closeSocket(client);
      throw error;
    }
  }

  /**
   * Closes the pool when its connections have been returned, or by force after two seconds: queries that still wait for
   * a response fail. A second call does nothing.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /**
   * Closes every connection immediately, even a busy one: queries that wait for a response fail, and so do later ones.
   */
  cutOff(): void {
    void this.close();
    for (const client of this.#open) closeSocket(client);
  }

  async #close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    const ended = this.pool.end();
    await Promise.race([ended, limit]);
    clearTimeout(timer);
    // A server that does not respond to the Terminate message would keep the process alive as well.
    for (const client of this.#open) closeSocket(client);
    await Promise.race([ended, new Promise((resolve) => setImmediate(resolve))]);
  }

  #connection(): pg.ClientConfig {
    return {
      application_name: this.#applicationName,
      connectionTimeoutMillis: this.#connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    };
  }

  /** Idle connections that were lost in the last two seconds. */
  get recentLosses(): readonly ConnectionLoss[] {
    const since = performance.now() - LOSSES_MS;
    return this.#losses.filter(({ at }) => at >= since);
  }

  #noteLoss(error: unknown): void {
    this.#losses = [
      ...this.#losses.slice(1 - MOST_LOSSES),
      { at: performance.now(), code: sqlStateOf(error) },
    ];
  }

  async #checkOut(): Promise<pg.PoolClient> {
    for (;;) {
      let client: pg.PoolClient;
      try {
        client = await this.pool.connect();
      } catch (error) {
        throw translateConnectError(error);
      }
      if (!this.#doubtful.has(client)) return client;
      client.release(true);
    }
  }

  /** The cause that silenced one connection has often silenced all: to find out one by one would take too long. */
  #doubtOthers(): void {
    this.#doubtful = new WeakSet(this.#open);
  }
}

/** Runs each statement on a separate connection. */
class PoolSession implements SqlSession {
  constructor(private readonly database: PgDatabase) {}

  get schema(): string {
    return this.database.schema;
  }

  run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    return this.database.withConnection((connection) => connection.run(statement, ...params));
  }
}

function translateConnectError(error: unknown): Error {
  const translated = translateDatabaseError(error, 'Connecting to the database');
  if (isWaybillError(translated) && translated.code !== 'DATABASE_REFUSED') return translated;
  return new DatabaseUnavailableError(`Connecting to the database failed (${describeError(error)})`, {
    cause: error,
  });
}

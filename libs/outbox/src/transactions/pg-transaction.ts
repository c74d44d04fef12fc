import {
  type BoundStatement,
  PgConnection,
  PgSession,
  type SqlSession,
  type Statement,
  TransactionRequiredError,
} from '@waybill/kernel';
import { failureOf, failureSettling, type PgQueryable, watchFailures } from '@waybill/kernel/internal';
import type pg from 'pg';
import { callAtEnd, type PgConnectionEvents } from './connection-status.js';
import {
  has,
  type JoinedTransaction,
  type JoinOptions,
  noTransaction,
  type TransactionAdapter,
} from './joined-transaction.js';

/** A client of the pg driver, in a transaction: after `BEGIN`, before `COMMIT` or `ROLLBACK`. */
export interface PgTransactionClient {
  query(...args: never[]): unknown;
  getTransactionStatus(): string | null;
}

const INSTEAD = 'the pg client itself, after BEGIN and before COMMIT';
const PG_CLIENT: HandleWords = { what: 'A pg client', instead: INSTEAD };

/** pg: a client, of a pool or alone, after BEGIN. */
export const joinPg: TransactionAdapter = (handle, options) => {
  if (isPgClient(handle)) {
    // Otherwise it is asked when the first statement runs.
    if (failureSettling(handle) === undefined) assertOpen(handle, PG_CLIENT);
    return {
      session: new PgClientSession(handle, options),
      onEnd: (callback) => callAtEnd(connectionOf(handle), callback),
    };
  }
  if (has(handle, 'query') && has(handle, 'connect') && has(handle, 'idleCount', 'number'))
    throw noTransaction('A pg pool was passed where a transaction is needed', INSTEAD);
  return undefined;
};

/** How errors call what the caller passed, and what to pass instead. */
interface HandleWords {
  /** "A Knex transaction". */
  readonly what: string;
  readonly instead: string;
}

/** The pg client beneath the transaction of an ORM. */
export interface PgBeneath extends HandleWords {
  /** The client, which the ORM may provide only as a promise. */
  readonly client: () => Promise<unknown>;
}

/**
 * Joins the transaction of an ORM through the pg client beneath it. Waybill's values are then read and written exactly
 * as by pg itself, and the server, not the ORM, reports whether the transaction is open: checked before every
 * statement, because one outside it would commit by itself.
 */
export function joinPgBeneath(beneath: PgBeneath, options: JoinOptions): JoinedTransaction {
  const session = new PgBeneathSession(beneath, options);
  return {
    session,
    runTogether: (statements) => session.runTogether(statements),
    onEnd: (callback) =>
      void session.client.then(
        (client) => callAtEnd(connectionOf(client), callback),
        () => {},
      ),
    onLost: (lost) => {
      void session.client.then((client) => eventsOf(client).on('error', lost), ignore);
      return () => void session.client.then((client) => eventsOf(client).off('error', lost), ignore);
    },
    cutOff: () => session.client.then(close, ignore),
  };
}

/** A session on the caller's own client. */
class PgClientSession implements SqlSession {
  readonly schema: string;

  constructor(
    private readonly client: PgTransactionClient,
    private readonly options: JoinOptions,
  ) {
    this.schema = options.schema;
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    // Awaiting nothing would let statements overtake this one that the caller sends without waiting.
    if (failureSettling(this.client) === undefined) assertBegun(this.client, PG_CLIENT);
    else await settledBegun(this.client, PG_CLIENT);
    return sessionOf(this.client, this.options).run(statement, ...params);
  }
}

class PgBeneathSession implements SqlSession {
  readonly schema: string;
  #client: Promise<PgTransactionClient> | undefined;

  constructor(
    private readonly beneath: PgBeneath,
    private readonly options: JoinOptions,
  ) {
    this.schema = options.schema;
  }

  get client(): Promise<PgTransactionClient> {
    this.#client ??= this.#find();
    return this.#client;
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    const client = await this.client;
    await settledBegun(client, this.beneath);
    return sessionOf(client, this.options).run(statement, ...params);
  }

  async runTogether(statements: readonly BoundStatement[]): Promise<void> {
    const client = await this.client;
    await settledBegun(client, this.beneath);
    const { schema, prepared } = this.options;
    const connection = new PgConnection(client as unknown as pg.PoolClient, schema);
    await connection.runBatch(statements.map((statement) => ({ ...statement, prepared })));
  }

  async #find(): Promise<PgTransactionClient> {
    const { client, what, instead } = this.beneath;
    const found = await client();
    if (!isPgClient(found))
      throw noTransaction(`${what} was passed that does not run on the pg driver`, instead);
    return found;
  }
}

function sessionOf(client: PgTransactionClient, { schema, prepared }: JoinOptions): PgSession {
  return new PgSession(client as unknown as PgQueryable, schema, prepared);
}

/**
 * The transaction status after the last statement; see {@link settledBegun} for one that has just failed.
 * @throws TransactionRequiredError also when the transaction has failed
 */
function assertOpen(client: PgTransactionClient, words: HandleWords): void {
  assertBegun(client, words);
  if (client.getTransactionStatus() === 'E')
    throw TransactionRequiredError.afterFailure('No more statements can run', failureOf(client));
}

/** A transaction that has failed may go on from a savepoint: anything else is refused by the server. */
function assertBegun(client: PgTransactionClient, { what, instead }: HandleWords): void {
  const status = client.getTransactionStatus();
  watchFailures(client);
  if (status !== 'T' && status !== 'E')
    throw noTransaction(`${what} without an open transaction was passed`, instead);
}

/**
 * Waits, if a statement of the client has just failed, until the server has said whether the transaction is still open:
 * a COMMIT that fails ends it, and the next statement would commit by itself.
 */
async function settledBegun(client: PgTransactionClient, words: HandleWords): Promise<void> {
  await failureSettling(client);
  assertBegun(client, words);
}

function connectionOf(client: PgTransactionClient): PgConnectionEvents | undefined {
  return (client as unknown as { connection?: PgConnectionEvents }).connection;
}

/** A pool does not take such a client back, and the server rolls back its transaction. */
async function close(client: PgTransactionClient): Promise<void> {
  const closing = eventsOf(client);
  closing.on('error', ignore);
  const closed = closing.end();
  // The server may take a while to respond, and a pool would lend the client meanwhile.
  closing.connection?.stream.destroy();
  await closed.catch(ignore);
}

interface PgClientEvents {
  readonly connection?: { readonly stream: { destroy(): unknown } };
  on(event: 'error', listener: () => void): unknown;
  off(event: 'error', listener: () => void): unknown;
  end(): Promise<void>;
}

function eventsOf(client: PgTransactionClient): PgClientEvents {
  return client as unknown as PgClientEvents;
}

function ignore(): void {}

function isPgClient(handle: unknown): handle is PgTransactionClient {
  return has(handle, 'query') && has(handle, 'getTransactionStatus');
}

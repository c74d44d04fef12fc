import { PgSession, type SqlSession, type Statement } from '@waybill/kernel';
import { type PgQueryable, watchFailures } from '@waybill/kernel/internal';
import pg from 'pg';
import {
  callAtEnd,
  onConnectionLost,
  type PgConnectionEvents,
  type PgConnectionLosses,
} from './connection-status.js';
import { has, type JoinOptions, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { lendTransaction, type LentTransaction, StatementGate } from './lend-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of Kysely's `Transaction` that Waybill uses. */
export interface KyselyTransaction {
  readonly isTransaction: true;
  getExecutor(): unknown;
  withPlugin(plugin: never): unknown;
}

/** The part of Kysely that opens transactions. */
export interface KyselyTransactions<Handle extends KyselyTransaction> {
  transaction(): {
    setIsolationLevel(level: 'read committed'): {
      execute<T>(work: (trx: Handle) => Promise<T>): Promise<T>;
    };
  };
}

/** Kysely's `QueryExecutor`, the part that lends the connection of its transaction. */
interface KyselyExecutor {
  provideConnection<T>(consumer: (connection: KyselyConnection) => Promise<T>): Promise<T>;
}

interface KyselyConnection {
  executeQuery(query: { sql: unknown; parameters: readonly unknown[]; query: object }): Promise<unknown>;
}

const INSTEAD =
  'the trx that db.transaction().execute(async (trx) => …) passes to its callback, or that startTransaction() returns, before it ends';

/** Kysely on its PostgresDialect: a transaction, including controlled ones and their savepoints. */
export const joinKysely: TransactionAdapter = (handle, options) => {
  if (!has(handle, 'getExecutor') || !has(handle, 'isTransaction', 'boolean')) return undefined;
  const trx = handle as { isTransaction: boolean; getExecutor(): KyselyExecutor };
  if (!trx.isTransaction) throw noTransaction('Kysely itself was passed, outside any transaction', INSTEAD);
  const queryable = new KyselyQueryable(trx.getExecutor());
  return {
    session: new KyselySession(queryable, options),
    onEnd: (callback) => callAtEnd(queryable.connection, callback),
    onLost: (lost) => queryable.onLost(lost),
    cutOff: () => queryable.cutOff(),
  };
};

/** Opens transactions by `db.transaction()`; the handle is Kysely's `Transaction`. */
export function kyselyOpener<Handle extends KyselyTransaction>(
  db: KyselyTransactions<Handle>,
): TransactionOpener<Handle> {
  return {
    kind: 'kysely',
    open: (work) => db.transaction().setIsolationLevel('read committed').execute(work),
    lend: lendKysely,
  };
}

/**
 * Kysely notices that a transaction has ended only when the server has responded: a query sent in between would run
 * after ROLLBACK, and commit by itself. A plugin is called before each query, also those that were built earlier.
 */
function lendKysely<Handle extends KyselyTransaction>(handle: Handle): LentTransaction<Handle> {
  const gate = new StatementGate();
  const plugin = {
    transformQuery: ({ node }: { node: unknown }) => {
      gate.assertMayPass(undefined);
      return node;
    },
    transformResult: ({ result }: { result: unknown }) => Promise.resolve(result),
  };
  const { lent, revoke } = lendTransaction(handle.withPlugin(plugin as never) as Handle, {
    what: 'transaction',
    refused: ['commit', 'rollback', 'destroy'],
  });
  return {
    lent,
    revoke: () => {
      gate.revoke();
      revoke();
    },
  };
}

/**
 * Runs pg queries on the connection that a Kysely transaction holds. Kysely does not expose the pg client, and its own
 * results read int8 as text and pass through plugins that may rename columns. But it passes the given text on to
 * `client.query`, which also takes a query object (pg-cursor is one): with the types and the name that Waybill uses,
 * and with access to its connection.
 */
class KyselyQueryable implements PgQueryable {
  connection: (PgConnectionEvents & PgConnectionLosses) | undefined;
  /** The transaction status after the last statement; undefined before the first. */
  status: string | undefined;
  #lost: () => void = () => {};
  #quiet: () => void = () => {};

  constructor(private readonly executor: KyselyExecutor) {}

  /** The connection is known from the first statement on. */
  onLost(lost: () => void): () => void {
    this.#lost = lost;
    return () => this.#quiet();
  }

  /** Running statements fail, and Kysely's pool does not take it back. */
  async cutOff(): Promise<void> {
    this.connection?.stream.destroy();
  }

  async query(config: Parameters<PgQueryable['query']>[0]): Promise<{ rows: unknown[] }> {
    const { query, result } = this.#queryOf(config);
    await this.#hand(query);
    return result;
  }

  /** A query that reports its outcome with a promise. */
  #queryOf(config: pg.QueryConfig): { query: pg.Query; result: Promise<{ rows: unknown[] }> } {
    let settle: (error: Error | null, found: { rows: unknown[] }) => void = () => {};
    const result = new Promise<{ rows: unknown[] }>((resolve, reject) => {
      settle = (error, found) => (error === null ? resolve(found) : reject(error));
    });
    // It is not awaited yet if Kysely refuses the query.
    result.catch(() => {});
    const query = new pg.Query({ ...config, callback: settle } as pg.QueryConfig);
    const submit = query.submit;
    // The query text that Kysely logs.
    return {
      query: Object.assign(query, {
        toString: () => config.text,
        submit: (connection: pg.Connection) => {
          this.#watch(connection);
          return submit.call(query, connection);
        },
      }),
      result,
    };
  }

  async #hand(query: pg.Query): Promise<void> {
    let open = false;
    try {
      await this.executor.provideConnection(async (connection) => {
        open = true;
        await connection.executeQuery({ sql: query, parameters: [], query: { kind: 'RawNode' } });
      });
    } catch (error) {
      const what = open
        ? 'A Kysely transaction was passed whose dialect does not run on the pg driver'
        : 'A Kysely transaction that has ended was passed';
      throw noTransaction(what, INSTEAD, error);
    }
  }

  #watch(connection: pg.Connection): void {
    if (this.connection !== undefined) return;
    this.connection = connection as unknown as PgConnectionEvents & PgConnectionLosses;
    watchFailures(connection);
    this.#quiet = onConnectionLost(this.connection, () => this.#lost());
    this.status = 'T';
    callAtEnd(this.connection, () => (this.status = 'I'));
  }
}

/** Refuses to run a query outside the transaction, where it would commit by itself. */
class KyselySession implements SqlSession {
  readonly schema: string;
  readonly #session: PgSession;

  constructor(
    private readonly queryable: KyselyQueryable,
    { schema, prepared }: JoinOptions,
  ) {
    this.schema = schema;
    this.#session = new PgSession(queryable, schema, prepared);
  }

  run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    if (this.queryable.status === 'I')
      return Promise.reject(noTransaction('A Kysely transaction that has ended was passed', INSTEAD));
    return this.#session.run(statement, ...params);
  }
}

import type pg from 'pg';
import { CopyOut, type CopyRowHandler } from '../sql/copy-out.js';
import { pgTypes } from './pg-types.js';
import type { BoundStatement } from '../sql/bound-statement.js';
import { preparedName } from '../sql/derived-name.js';
import type { SqlSession } from '../sql/sql-session.js';
import { DEFAULT_SCHEMA, renderSql, renderSqlOnce, type Statement } from '../sql/statement.js';
import { respondedWithin, DEFAULT_QUERY_TIMEOUT_MS } from './response-deadline.js';
import { type BatchEntry, StatementBatch } from '../sql/statement-batch.js';
import { sqlStateOf, translateDatabaseError } from '../sql/translate-error.js';

/** A pg client or pool. */
export interface PgQueryable {
  query(config: {
    text: string;
    values: unknown[];
    types?: pg.CustomTypesConfig;
    name?: string;
  }): Promise<{ rows: unknown[] }>;
}

/** A {@link SqlSession} over a pg client or pool. */
export class PgSession implements SqlSession {
  /**
   * @param prepared whether statements are prepared once per connection, under their own names: that halves the
   *   server's work for a small one, and a transaction pooler must support it
   */
  constructor(
    private readonly queryable: PgQueryable,
    readonly schema: string = DEFAULT_SCHEMA,
    private readonly prepared: boolean = false,
  ) {}

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    try {
      const result = await this.queryable.query({
        text: renderSql(statement.text, this.schema),
        values: params as unknown as unknown[],
        types: pgTypes,
        ...(this.prepared ? { name: preparedName(statement, this.schema) } : {}),
      });
      return result.rows as Row[];
    } catch (error) {
      throw translateDatabaseError(error, `Running ${statement.name}`);
    }
  }
}

const BEGIN: BatchEntry = { text: 'begin isolation level read committed', values: [] };
const PREPARED_BEGIN: BatchEntry = { ...BEGIN, name: 'waybill.begin' };
const COMMIT: BatchEntry = { text: 'commit', values: [] };
const PREPARED_COMMIT: BatchEntry = { ...COMMIT, name: 'waybill.commit' };

/**
 * SQLSTATEs after which the connection would fail again and again: server and driver disagree about what is prepared
 * (26000, 42P05), or the server takes no writes any more, because another one was promoted (25006).
 */
const USELESS: ReadonlySet<string> = new Set(['26000', '42P05', '25006']);

/** Options of a batch. */
export interface BatchOptions {
  readonly begin?: boolean;
  readonly commit?: boolean;
  /**
   * Statements after COMMIT, or after a batch without one: when one fails, the connection is closed, and nothing else.
   */
  readonly afterwards?: readonly BoundStatement[];
  /** Time limit for the response, in milliseconds. Default: the connection's `queryTimeoutMs`. */
  readonly timeoutMs?: number;
  /**
   * Called with the index of the statement that failed: -1 for BEGIN, their number for COMMIT. The error is thrown as
   * well.
   */
  readonly failed?: (at: number, error: unknown) => void;
}

/**
 * One connection, held for a while: batches of statements in one round trip, COPY, transactions. A call to which the
 * server does not respond in time fails, and the connection is closed.
 */
export class PgConnection extends PgSession {
  #isSpoiled = false;

  constructor(
    readonly client: pg.PoolClient | pg.Client,
    schema: string = DEFAULT_SCHEMA,
    readonly queryTimeoutMs: number = DEFAULT_QUERY_TIMEOUT_MS,
  ) {
    super(client as unknown as PgQueryable, schema);
  }

  /** Whether the connection must not be used again; see {@link spoil}. */
  get isSpoiled(): boolean {
    return this.#isSpoiled;
  }

  /** Closes the connection when it is released: user code may still send on it, or its state is unknown. */
  spoil(): void {
    this.#isSpoiled = true;
  }

  override async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    const running = super.run(statement, ...params);
    try {
      return await respondedWithin(this.client, this.queryTimeoutMs, `Running ${statement.name}`, running);
    } catch (error) {
      this.#spoilIfUseless(error);
      throw error;
    }
  }

  /** Runs the statements in one round trip; see {@link StatementBatch}. Resolves to the rows of each. */
  async runBatch(statements: readonly BoundStatement[], options: BatchOptions = {}): Promise<unknown[][]> {
    const { afterwards = [], timeoutMs = this.queryTimeoutMs } = options;
    const prepared = statements.some((statement) => statement.prepared);
    const before = options.begin === true ? [prepared ? PREPARED_BEGIN : BEGIN] : [];
    const after = options.commit === true ? [prepared ? PREPARED_COMMIT : COMMIT] : [];
    const own = [...before, ...this.#entries(statements), ...after];
    const batch = new StatementBatch([...own, ...this.#entries(afterwards)], pgTypes);
    const doing = `Running ${statements.map(({ statement }) => statement.name).join(', ')}`;
    try {
      this.client.query(batch);
      await respondedWithin(this.client, timeoutMs, doing, batch.done);
    } catch (error) {
      // The batch has succeeded, COMMIT included: a failure after it only makes the connection unusable.
      const isComplete = batch.completed >= own.length && !batch.wasRolledBack;
      if (!isComplete) {
        const translated = translateDatabaseError(error, doing);
        this.#spoilIfUseless(error);
        options.failed?.(batch.completed - before.length, translated);
        throw translated;
      }
      this.spoil();
    }
    return batch.rows.slice(before.length, before.length + statements.length);
  }

  /**
   * Runs statements, and behind them a query of other code, in one round trip.
   * @param options.failed is also called for that query, with the number of the statements
   * @returns the driver's result of the query. @throws the driver's error if the query failed
   */
  async queryBehind(
    statements: readonly BoundStatement[],
    query: BatchEntry,
    { begin = false, timeoutMs = this.queryTimeoutMs, failed }: Omit<BatchOptions, 'commit' | 'afterwards'>,
  ): Promise<pg.QueryResult> {
    const prepared = statements.some((statement) => statement.prepared);
    const before = begin ? [prepared ? PREPARED_BEGIN : BEGIN] : [];
    const ahead = [...before, ...this.#entries(statements)];
    const batch = new StatementBatch([...ahead, query], pgTypes);
    try {
      this.client.query(batch);
      await respondedWithin(this.client, timeoutMs, 'Running a query in a transaction', batch.done);
    } catch (error) {
      this.#spoilIfUseless(error);
      const isAhead = batch.completed < ahead.length;
      const thrown = isAhead ? translateDatabaseError(error, 'Beginning a transaction') : error;
      failed?.(batch.completed - before.length, thrown);
      throw thrown;
    }
    return batch.resultOf(ahead.length) as pg.QueryResult;
  }

  /** Runs a text of several statements, or one with values, with the usual time limit. */
  async execute(text: string, values?: readonly unknown[]): Promise<void> {
    const running = values === undefined ? this.client.query(text) : this.client.query(text, [...values]);
    await respondedWithin(this.client, this.queryTimeoutMs, 'Running a text', running);
  }

  /** Runs a COPY whose text contains only checked integers; see {@link CopyOut}. */
  async copyOut(text: string, onRow: CopyRowHandler): Promise<void> {
    const copy = new CopyOut(renderSqlOnce(text, this.schema), onRow);
    const doing = 'Reading rows by COPY';
    try {
      this.client.query(copy);
      await respondedWithin(this.client, this.queryTimeoutMs, doing, copy.done);
    } catch (error) {
      throw translateDatabaseError(error, doing);
    }
  }

  /**
   * Ends an open transaction, if there is one. Never throws; returns false when the connection is broken, and so has
   * none.
   */
  async rollback(): Promise<boolean> {
    try {
      const rolledBack = this.client.query('rollback');
      await respondedWithin(this.client, this.queryTimeoutMs, 'Rolling back', rolledBack);
      return true;
    } catch {
      return false;
    }
  }

  #spoilIfUseless(error: unknown): void {
    if (USELESS.has(sqlStateOf(error) ?? '')) this.spoil();
  }

  #entries(statements: readonly BoundStatement[]): BatchEntry[] {
    return statements.map(({ statement, params, prepared }) => ({
      text: renderSql(statement.text, this.schema),
      values: params,
      ...(prepared === true ? { name: preparedName(statement, this.schema) } : {}),
    }));
  }
}

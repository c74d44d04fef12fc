import type pg from 'pg';
import { CopyOut, type CopyRowHandler } from './copy-out.js';
import { pgTypes } from './pg-types.js';
import type { BoundStatement } from './bound-statement.js';
import { preparedName } from './derived-name.js';
import type { SqlSession } from './sql-session.js';
import { DEFAULT_SCHEMA, renderSql, renderSqlOnce, type Statement } from './statement.js';
import { type BatchEntry, StatementBatch } from './statement-batch.js';
import { translateDatabaseError } from './translate-error.js';

/** Something that runs a query: a pg client or a pool. */
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
   * @param prepared whether statements are prepared once a connection, under names of their own: that halves what the
   *   server does for a small one, and a transaction pooler must know of it
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

/** What is around the statements of a batch. */
export interface BatchOptions {
  readonly begin?: boolean;
  readonly commit?: boolean;
  /** Told which of the statements failed: -1 for BEGIN, their number for COMMIT. The error is thrown as well. */
  readonly failed?: (at: number, error: unknown) => void;
}

/**
 * One connection of our own, held for a while: batches of statements in one round trip, COPY, transactions.
 */
export class PgConnection extends PgSession {
  constructor(
    readonly client: pg.PoolClient | pg.Client,
    schema: string = DEFAULT_SCHEMA,
  ) {
    super(client as unknown as PgQueryable, schema);
  }

  /** Runs the statements in one round trip; see {@link StatementBatch}. Resolves to the rows of each. */
  async runBatch(statements: readonly BoundStatement[], options: BatchOptions = {}): Promise<unknown[][]> {
    const entries = statements.map(({ statement, params, prepared }) => ({
      text: renderSql(statement.text, this.schema),
      values: params,
      ...(prepared === true ? { name: preparedName(statement, this.schema) } : {}),
    }));
    const prepared = statements.some((statement) => statement.prepared);
    const before = options.begin === true ? [prepared ? PREPARED_BEGIN : BEGIN] : [];
    const after = options.commit === true ? [prepared ? PREPARED_COMMIT : COMMIT] : [];
    const batch = new StatementBatch([...before, ...entries, ...after], pgTypes);
    try {
      this.client.query(batch);
      const rows = await batch.done;
      return rows.slice(before.length, before.length + entries.length);
    } catch (error) {
      const names = statements.map(({ statement }) => statement.name).join(', ');
      const translated = translateDatabaseError(error, `Running ${names}`);
      options.failed?.(batch.completed - before.length, translated);
      throw translated;
    }
  }

  /** Runs a COPY whose text holds nothing but checked integers; see {@link CopyOut}. */
  async copyOut(text: string, onRow: CopyRowHandler): Promise<void> {
    const copy = new CopyOut(renderSqlOnce(text, this.schema), onRow);
    try {
      this.client.query(copy);
      await copy.done;
    } catch (error) {
      throw translateDatabaseError(error, 'Reading rows by COPY');
    }
  }

  /** Ends an open transaction, if there is one. Never throws: a broken connection has none. */
  async rollback(): Promise<void> {
    try {
      await this.client.query('rollback');
    } catch {
      // The connection is gone, and the transaction with it.
    }
  }
}

import { type SqlSession, type Statement, translateDatabaseError } from '@waybill/kernel';
import { pgTypes, renderSql } from '@waybill/kernel/internal';
import pg from 'pg';
import { has, noTransaction, type TransactionAdapter } from './joined-transaction.js';

/** The part of a transaction of postgres.js (`TransactionSql`) that Waybill uses. */
export interface PostgresJsTransaction {
  unsafe(...args: never[]): unknown;
  savepoint(...args: never[]): unknown;
}

/** A transaction of postgres.js as a callable. */
interface PostgresJsSql {
  unsafe(text: string, params: readonly unknown[], options: { prepare: boolean }): Promise<PostgresJsRows>;
  typed(value: unknown, type: number): unknown;
}

type PostgresJsRows = Record<string, unknown>[] & {
  readonly columns?: readonly { readonly name: string; readonly type: number }[];
};

const INSTEAD = 'the sql that sql.begin(async (sql) => …) passes to its callback, before it ends';

/** postgres.js: the `sql` of a transaction, or of a savepoint in it. It does not report its end. */
export const joinPostgresJs: TransactionAdapter = (handle, { schema, prepared }) => {
  if (typeof handle !== 'function' || !has(handle, 'unsafe') || !has(handle, 'typed')) return undefined;
  if (!has(handle, 'savepoint'))
    throw noTransaction('postgres.js itself was passed, outside any transaction', INSTEAD);
  return { session: new PostgresJsSession(handle as unknown as PostgresJsSql, schema, prepared) };
};

// pg exports it at run time; its published types omit it.
const { prepareValue } = (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils;

/** A parameter type that the server infers, and for which postgres.js has no serializer. */
const UNKNOWN = 705;
const TEXT = 25;
const INT8_ARRAY = 1016;
/** Types whose values are already parsed, and may be texts that must not be parsed again. */
const READ_ALREADY = new Set([TEXT, 114, 3802]);

/**
 * A {@link SqlSession} over postgres.js. It would encode a text that is already JSON, and reads int8 as text: so
 * parameters are sent as text, in pg's format, and texts of rows are parsed as pg does.
 */
class PostgresJsSession implements SqlSession {
  constructor(
    private readonly sql: PostgresJsSql,
    readonly schema: string,
    private readonly prepared: boolean,
  ) {}

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    try {
      const typed = params.map((param) => this.#typed(param));
      const rows = await this.sql.unsafe(renderSql(statement.text, this.schema), typed, {
        prepare: this.prepared,
      });
      const columns = new Map((rows.columns ?? []).map(({ name, type }) => [name, type]));
      return Array.from(rows, (row) => readRow(row, columns)) as Row[];
    } catch (error) {
      throw translateDatabaseError(error, `Running ${statement.name} with postgres.js`);
    }
  }

  #typed(param: unknown): unknown {
    const value = prepareValue(param);
    if (value === null) return null;
    return this.sql.typed(Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value, UNKNOWN);
  }
}

function readRow(row: Record<string, unknown>, types: ReadonlyMap<string, number>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, readValue(value, types.get(name) ?? TEXT)]),
  );
}

function readValue(value: unknown, type: number): unknown {
  if (type === INT8_ARRAY && Array.isArray(value)) return value.map(Number);
  if (typeof value !== 'string' || READ_ALREADY.has(type)) return value;
  return (pgTypes.getTypeParser as (oid: number) => (text: string) => unknown)(type)(value);
}

import type { Statement } from './statement.js';

/**
 * Somewhere to run statements: a connection, or an open transaction of the driver or ORM that the caller uses.
 * This is the port between Waybill and the many ways to hold a PostgreSQL transaction.
 */
export interface SqlSession {
  /** Waybill's schema in this database. */
  readonly schema: string;
  /**
   * Runs one statement and returns its rows.
   * @throws WaybillError translated from the database's SQLSTATE
   */
  run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]>;
}

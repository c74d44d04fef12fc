import { bindStatement, type BoundStatement } from './bound-statement.js';
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
  /**
   * Takes a statement that is sent ahead of the next one, or with COMMIT, and so costs no round trip of its own. What it
   * fails with fails that one, and the transaction. Absent where the driver sends statements one by one: see {@link runAhead}.
   */
  ahead?(statement: BoundStatement): void;
  /**
   * Takes back what code that used the transaction's connection has set in its session: role, settings, locks; where the
   * connection is not Waybill's own, role and search path. Goes ahead of the next statement where the driver can.
   */
  resetSession?(): void | Promise<void>;
  /** Calls back when the transaction has been committed; the same callback once. Absent where nobody tells. */
  atCommit?(callback: () => void): void;
}

/** Runs a statement without waiting for it where the session can; see {@link SqlSession.ahead}. */
export async function runAhead<Params extends readonly unknown[], Row>(
  session: SqlSession,
  statement: Statement<Params, Row>,
  ...params: Params
): Promise<void> {
  if (session.ahead === undefined) await session.run(statement, ...params);
  else session.ahead(bindStatement(statement, ...params));
}

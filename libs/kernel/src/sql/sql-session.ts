import { bindStatement, type BoundStatement } from './bound-statement.js';
import type { Statement } from './statement.js';

/**
 * Runs statements: on a connection, or in an open transaction of the caller's driver or ORM.
 * The port between Waybill and the many ways to hold a PostgreSQL transaction.
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
   * Queues a statement to be sent ahead of the next one, or with COMMIT, so that it costs no extra round trip. If it
   * fails, the next one and the transaction fail too. Absent if the driver sends statements one by one: see
   * {@link runAhead}.
   */
  ahead?(statement: BoundStatement): void;
  /**
   * Undoes what code that used the transaction's connection has set in its session: role, settings, locks; if the
   * connection is not Waybill's own, role and search path. Sent ahead of the next statement if the driver supports
   * that.
   */
  resetSession?(): void | Promise<void>;
  /**
   * Why the transaction can no longer be committed: a statement has failed, and its error may have been caught; undefined if
   * the server has reported no such thing. Waits for statements that are under way. Absent if the driver does not pass
   * on what the server reports.
   */
  failure?(): Promise<Error | undefined>;
  /**
   * Calls back when the transaction has been committed; the same callback once. Absent if the driver does not report
   * it.
   */
  atCommit?(callback: () => void): void;
}

/** Runs a statement, without waiting for it if the session supports that; see {@link SqlSession.ahead}. */
export async function runAhead<Params extends readonly unknown[], Row>(
  session: SqlSession,
  statement: Statement<Params, Row>,
  ...params: Params
): Promise<void> {
  if (session.ahead === undefined) await session.run(statement, ...params);
  else session.ahead(bindStatement(statement, ...params));
}

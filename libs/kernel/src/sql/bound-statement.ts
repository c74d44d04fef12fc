import type { Statement } from './statement.js';

/** A statement bound to its parameters, for {@link PgConnection.runBatch}. */
export interface BoundStatement {
  readonly statement: Statement<readonly unknown[], unknown>;
  readonly params: readonly unknown[];
  /** Whether the statement is kept prepared on its connection, under its own name. Default no. */
  readonly prepared?: boolean;
}

/** Binds parameters to a statement, with type checks. */
export function bindStatement<Params extends readonly unknown[], Row>(
  statement: Statement<Params, Row>,
  ...params: Params
): BoundStatement {
  return { statement: statement as Statement<readonly unknown[], unknown>, params };
}

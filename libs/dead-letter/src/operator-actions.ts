import { type BoundStatement, bindStatement, type Operator, type SqlSession } from '@waybill/kernel';
import { assertOperator } from '@waybill/kernel/internal';
import { listActions, recordAction } from './statements.generated.js';

/** What an operator did. */
export interface OperatorAction {
  readonly id: number;
  readonly actedAt: Date;
  /** The login that did it. */
  readonly actor: string;
  /** The name that it gave. */
  readonly by: string;
  readonly action: string;
  readonly target: string;
  readonly reason: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * The statement that keeps what an operator did, to be run in the transaction that does it.
 * @param target what kind of thing it was done to, and which
 * @throws ConfigurationError when nobody says who acts
 */
export function operatorAction(
  operator: Operator,
  action: string,
  target: { readonly kind: string; readonly id: string },
  details: Readonly<Record<string, unknown>> = {},
): BoundStatement {
  assertOperator(operator, target.kind);
  const { by, reason } = operator;
  return bindStatement(
    recordAction,
    by,
    action,
    target.kind,
    target.id,
    reason ?? null,
    JSON.stringify(details),
  );
}

/** What operators did, newest first: to one target, or to all of its kind. */
export async function operatorActions(
  session: SqlSession,
  target: { readonly kind: string; readonly id?: string },
  limit = 100,
): Promise<OperatorAction[]> {
  const rows = await session.run(listActions, target.kind, target.id ?? null, limit);
  return rows.map((row) => ({ ...row, details: JSON.parse(row.details) as Record<string, unknown> }));
}

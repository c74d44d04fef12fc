import { type BoundStatement, bindStatement, type Operator, type SqlSession } from '@waybill/kernel';
import { assertOperator } from '@waybill/kernel/internal';
import { listActions, recordAction } from './statements.generated.js';

/** An action of an operator. */
export interface OperatorAction {
  readonly id: number;
  readonly actedAt: Date;
  /** The operator's login. */
  readonly actor: string;
  /** The stated name. */
  readonly by: string;
  readonly action: string;
  readonly target: string;
  readonly reason: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * The statement that records an operator's action, to be run in the transaction of the action.
 * @param target the kind and the id of its target
 * @throws ConfigurationError when `by` is missing
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

/** Operators' actions, newest first: on one target, or on all of its kind. */
export async function operatorActions(
  session: SqlSession,
  target: { readonly kind: string; readonly id?: string },
  limit = 100,
): Promise<OperatorAction[]> {
  const rows = await session.run(listActions, target.kind, target.id ?? null, limit);
  return rows.map((row) => ({ ...row, details: JSON.parse(row.details) as Record<string, unknown> }));
}

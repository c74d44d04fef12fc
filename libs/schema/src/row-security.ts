import { ConfigurationError, type Logger, type SqlSession } from '@waybill/kernel';
import { securedTables } from './statements.generated.js';

const SHOWN = 5;

/** The effect of row-level security on Waybill's tables for this login. */
export interface RowSecurity {
  /** Tables without a policy for any login: every row is silently hidden. */
  readonly hidden: readonly string[];
  /** Tables with policies: rows that these exclude are hidden. */
  readonly filtered: readonly string[];
}

/** Finds Waybill's tables with row-level security that applies to the session's login. */
export async function findRowSecurity(session: SqlSession): Promise<RowSecurity> {
  const rows = await session.run(securedTables, session.schema);
  return {
    hidden: rows.filter(({ hasPolicy }) => !hasPolicy).map(({ name }) => name),
    filtered: rows.filter(({ hasPolicy }) => hasPolicy).map(({ name }) => name),
  };
}

/** What to do about it. */
export const ROW_SECURITY_REMEDY =
  "Waybill's tables need none: `alter table … disable row level security`, or let the login that Waybill uses bypass it. Use it for business tables, and set the role in the handler's transaction.";

/**
 * Reports at startup what would otherwise show only as messages that are never found.
 * @throws ConfigurationError when all rows of a table are hidden from this login
 */
export async function assertRowsVisible(session: SqlSession, logger: Logger): Promise<void> {
  const { hidden, filtered } = await findRowSecurity(session);
  if (hidden.length > 0) {
    throw new ConfigurationError(`Waybill cannot see its own rows in schema ${session.schema}`, [
      `row-level security hides every row of ${listed(hidden)} from this login. ${ROW_SECURITY_REMEDY}`,
    ]);
  }
  if (filtered.length > 0)
    logger.warn(
      `row-level security applies to ${listed(filtered)} of Waybill's tables: ${ROW_SECURITY_REMEDY}`,
    );
}

/** The first names of a list, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return `${names.slice(0, SHOWN).join(', ')}${more}`;
}

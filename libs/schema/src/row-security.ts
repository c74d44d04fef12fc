import { ConfigurationError, type Logger, type SqlSession } from '@waybill/kernel';
import { securedTables } from './statements.generated.js';

const SHOWN = 5;

/** What row-level security does to Waybill's tables for this login. */
export interface RowSecurity {
  /** Tables without a policy for anybody: every row is hidden, without a word. */
  readonly hidden: readonly string[];
  /** Tables with policies: what those leave out is hidden. */
  readonly filtered: readonly string[];
}

/** Finds the tables of Waybill on which row-level security holds for the session's login. */
export async function findRowSecurity(session: SqlSession): Promise<RowSecurity> {
  const rows = await session.run(securedTables, session.schema);
  return {
    hidden: rows.filter(({ hasPolicy }) => !hasPolicy).map(({ name }) => name),
    filtered: rows.filter(({ hasPolicy }) => hasPolicy).map(({ name }) => name),
  };
}

/** What to do about it, for those who meet it. */
export const ROW_SECURITY_REMEDY =
  "Waybill's tables need none: `alter table … disable row level security`, or let the login that Waybill uses bypass it. Keep it for business tables, and set the role in the handler's transaction.";

/**
 * Says at start what would show only as messages that are never found.
 * @throws ConfigurationError when the rows of a table are all hidden from this login
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
      `row-level security holds for ${listed(filtered)} of Waybill's tables: ${ROW_SECURITY_REMEDY}`,
    );
}

/** Some names of a list, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return `${names.slice(0, SHOWN).join(', ')}${more}`;
}

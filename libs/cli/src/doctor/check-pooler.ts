import type { PgDatabase } from '@waybill/kernel';
import { type Finding, ok, problem, warning } from './finding.js';

const SETTING = 'waybill.doctor';
const MARK = 'kept';
const PROBE = { name: 'waybill_doctor', text: 'select 1' };

/**
 * Whether a session is one: what it sets, and the statements it prepares, are still there after another one has had a
 * transaction. Behind a pooler by transactions the server's connection has changed hands by then.
 */
export async function checkPooler(database: PgDatabase): Promise<Finding> {
  return database.withConnection(async ({ client: mine }) => {
    await mine.query(`set ${SETTING} = '${MARK}'`);
    await mine.query(PROBE);
    return database.withConnection(async ({ client: other }) => {
      await other.query('begin');
      try {
        const { rows } = await mine.query<{ value: string | null }>(
          `select pg_catalog.current_setting('${SETTING}', true) as value`,
        );
        const preparedStay = await mine.query(PROBE).then(
          () => true,
          () => false,
        );
        return verdict(rows[0]?.value === MARK, preparedStay);
      } finally {
        await other.query('rollback');
      }
    });
  });
}

function verdict(stateStays: boolean, preparedStay: boolean): Finding {
  if (!preparedStay)
    return problem(
      'pooler',
      'a pooler stands before the database, and loses prepared statements',
      'Set `outbox: { preparedStatements: false }`, or let the pooler track them; migrate on a direct connection.',
    );
  if (!stateStays)
    return warning(
      'pooler',
      'a pooler by transactions stands before the database: sessions do not keep their state, and LISTEN gets nothing',
      'Migrate on a direct connection; polling finds what signals would have told. See docs/OPERATIONS.md, "Transaction poolers".',
    );
  return ok('pooler', 'sessions keep their state and their prepared statements');
}

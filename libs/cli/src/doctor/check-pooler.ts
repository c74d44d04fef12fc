import type { PgDatabase } from '@waybill/kernel';
import { type Finding, ok, problem, warning } from './finding.js';

const SETTING = 'waybill.doctor';
const MARK = 'kept';
const PROBE = { name: 'waybill_doctor', text: 'select 1' };

/**
 * Whether a session keeps its settings and prepared statements while another session runs a transaction. Through a
 * transaction pooler, the server connection would have changed hands by then.
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
      'a pooler in front of the database loses prepared statements',
      'Set `outbox: { preparedStatements: false }`, or let the pooler track them.',
    );
  if (!stateStays)
    return warning(
      'pooler',
      'a transaction pooler is in front of the database: sessions do not keep their state, and LISTEN receives nothing',
      'Polling replaces signals. See docs/OPERATIONS.md, "Transaction poolers".',
    );
  return ok('pooler', 'sessions keep their state and their prepared statements');
}

import { PgDatabase } from '@waybill/kernel';
import type { Report } from '../main.js';

const ENDED = 1_000_000;
const WAITING = 100_000;
const AT_ONCE = 100_000;

const CONTENT = JSON.stringify({
  direction: 'forward',
  data: { orderId: 'A-1', pence: 500, shelf: 7, receipt: 'r1' },
  steps: {
    reserve: { status: 'done', attempt: 1, forgiven: 0, dueMs: null },
    charge: { status: 'running', attempt: 1, forgiven: 0, dueMs: 60_000 },
  },
  signals: {},
  deadlineMs: null,
  cancelled: false,
});

const ENDED_SAGAS = `
  insert into waybill.saga_ended
    (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision, started_at, ended_at, content)
  select waybill.saga_slot(f.id), f.id, 'order', 1, 'ended-' || f.n, 'orders.saga-replies', 4, 4,
         clock_timestamp(), clock_timestamp(), $3
    from (select n, uuidv7(-interval '10 days' * random()) as id from generate_series($1::int, $2::int) n) f`;

const WAITING_SAGAS = `
  insert into waybill.saga
    (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at, wake_at, content)
  select uuidv7(), 'order', 1, 'waiting-' || n, 'orders.saga-replies', 1, clock_timestamp(), clock_timestamp(),
         clock_timestamp() + interval '1 hour' * (1 + random()), $3
    from generate_series($1::int, $2::int) n`;

/** Fills the tables with a million ended sagas, without their timelines, and 100,000 waiting ones. */
export async function fillTables(connectionString: string, report: Report): Promise<void> {
  const database = new PgDatabase({ connectionString });
  const began = performance.now();
  try {
    const fill = async (text: string, rows: number): Promise<void> => {
      for (let from = 1; from <= rows; from += AT_ONCE)
        await database.pool.query(text, [from, Math.min(rows, from + AT_ONCE - 1), CONTENT]);
    };
    await fill(ENDED_SAGAS, ENDED);
    await fill(WAITING_SAGAS, WAITING);
    await database.pool.query('vacuum analyze waybill.saga');
    await database.pool.query('analyze waybill.saga_ended');
    await database.pool.query('checkpoint');
  } finally {
    await database.close();
  }
  report(`filled the tables in ${Math.round((performance.now() - began) / 1_000)} s`);
}

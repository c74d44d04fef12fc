import { groupLag } from '@waybill/log/postgres';
import { TOPIC } from '../load/topic.js';
import { GROUPS } from './programs.js';
import { OPEN_SAGAS } from './saga-tables.js';
import type { System } from './system.js';

const HANDLED = `
  select (select count(*) from published)::integer as published,
         (select count(*) from scheduled)::integer - (select count(*) from later_ledger)::integer as later,
         (select count(*) from half_ledger)::integer as halves,
         (select count(*) from ledger)::integer + (select count(*) from lost_to_retention)::integer as handled,
         (select count(*) from waybill.dead_letter d where d.topic = $1)::integer as dead`;

/** Deliveries, timers, half messages and sagas that are not done: the most of one of them. */
export async function undone({ database, bus, local, sagas }: System): Promise<number> {
  const { rows } = await database.pool.query<{
    published: number;
    later: number;
    halves: number;
    handled: number;
    dead: number;
  }>(HANDLED, [TOPIC]);
  const others = await local.pool.query<{ done: number; handled: number; dead: number }>(
    `select (select count(*) from half_done)::integer as done, (select count(*) from ledger)::integer as handled,
            (select count(*) from waybill.dead_letter d where d.topic = $1)::integer as dead`,
    [TOPIC],
  );
  const ongoing = await sagas.pool.query<{ open: number }>(OPEN_SAGAS);
  const [row] = rows;
  const [other] = others.rows;
  if (row === undefined || other === undefined) return 1;
  const groups = Object.keys(GROUPS);
  let lag = 0;
  for (const group of groups) for (const one of await groupLag(bus.session, group)) lag += one.lag;
  const messages = row.published * groups.length - row.handled - other.handled - row.dead - other.dead;
  return Math.max(other.done - row.halves, messages, lag, row.later, ongoing.rows[0]?.open ?? 1);
}

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

/** What is not done yet: how many of each kind, and the partitions that are behind. */
export interface Undone {
  readonly total: number;
  /** For a person. */
  readonly what: string;
}

/** Reads what is not done: deliveries, what is due later, half messages, sagas, and the groups' lag. */
export async function undone({ database, bus, local, sagas }: System): Promise<Undone> {
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
  if (row === undefined || other === undefined) throw new Error('the tables of the load answer nothing');
  const groups = Object.keys(GROUPS);
  const counts: Record<string, number> = {
    deliveries: row.published * groups.length - row.handled - other.handled - row.dead - other.dead,
    'half messages': other.done - row.halves,
    'delayed messages': row.later,
    sagas: ongoing.rows[0]?.open ?? 0,
  };
  for (const group of groups)
    for (const { topic, partition, position, endOffset, lag } of await groupLag(bus.session, group))
      counts[`records of ${topic}/${partition}, where ${group} is reported at ${position} of ${endOffset}`] =
        lag;
  const left = Object.entries(counts).filter(([, count]) => count > 0);
  return {
    total: left.reduce((most, [, count]) => Math.max(most, count), 0),
    what: left.map(([kind, count]) => `${count} ${kind}`).join(', '),
  };
}

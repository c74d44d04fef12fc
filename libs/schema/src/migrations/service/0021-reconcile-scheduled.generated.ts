// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0021: Migration = {
  number: 21,
  name: '0021-reconcile-scheduled',
  breaking: false,
  checksum: 'fc16249c68a2a51ceedd4c5e04bbfa25d247209a244351d9d4ad3a661e5f479b',
  sql: `-- Reconciling does not publish again what was scheduled or prepared when the log has it.

-- Removes what the time that was lost has published already, and a restored database would publish again under the same ids:
-- scheduled messages that have been delivered since, and half messages that have been committed since; of one of which the log
-- holds only some messages, those. Decisions on half messages are kept as reconcile's. Returns the number of rows removed from
-- the outbox. To be called in the transaction of relay_reconcile, after it.
create function :schema.forget_published(in_log uuid[]) returns bigint
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  half record;
  scheduled bigint;
begin
  delete from :schema.outbox o where o.timer_action = 1 and o.message_id = any (in_log);
  get diagnostics scheduled = row_count;
  delete from :schema.timer t where t.kind = 1 and t.message_id = any (in_log);
  for half in
    select h.id, jsonb_agg(m.content order by m.place) filter (where m.is_left) as messages,
           array_agg(h.payloads[m.place] order by m.place) filter (where m.is_left) as payloads
      from :schema.half_message h
      cross join lateral (
        select e.content, e.place, not (e.content ->> 'id')::uuid = any (in_log) as is_left
          from jsonb_array_elements(h.messages) with ordinality as e (content, place)) m
     group by h.id having not bool_and(m.is_left) order by h.id
  loop
    if half.messages is null then
      perform from :schema.half_decide(half.id, 2::smallint, 'reconcile', 'the log has its messages', null, '{1,4}');
    else
      update :schema.half_message h set messages = half.messages, payloads = half.payloads where h.id = half.id;
    end if;
  end loop;
  return scheduled;
end
$$;
`,
};

// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0021: Migration = {
  number: 21,
  name: '0021-reconcile-scheduled',
  breaking: false,
  checksum: '4413f6fdf49830b9a0fff55eb4f99bd9a18cedc5f42a3065b228de02ef3b33bd',
  sql: `-- Reconciling does not publish again what was scheduled or prepared when the log has it.

-- Removes what the time that was lost has published already, and a restored database would publish again under the same ids:
-- scheduled messages that have been delivered since, and half messages that have been committed since; of one of which the log
-- holds only some messages, those. Decisions on half messages are kept as reconcile's.
create function :schema.forget_published(in_log uuid[]) returns void
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  half record;
begin
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
end
$$;

-- As before; scheduled messages that the log has are not kept, and what would publish others again is removed.
create or replace function :schema.relay_reconcile(common_n bigint, bus_n bigint, bus_token uuid, in_log uuid[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  -- The rows to be moved are those that it does not show. Taken before this transaction has an id: one that is taken later shows
  -- the rows that it inserts as soon as a younger transaction has ended, and the relay would leave them out.
  before pg_snapshot := pg_current_snapshot();
  common record;
  newest record;
  kept bigint;
begin
  perform :schema.assert_read_committed('reconciling');
  if pg_current_xact_id_if_assigned() is not null then
    raise exception using errcode = '25001', message = 'reconciling must be the first statement of its transaction';
  end if;
  perform pg_advisory_xact_lock(hashtext(':schema.relay'), 0);
  lock table :schema.outbox in access exclusive mode;
  perform :schema.commit_to_disk();
  select i.* into common from :schema.relay_intent i where i.n = common_n order by i.version desc limit 1;
  select i.* into newest from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if common.n is null and bus_n >= (select min(i.n) from :schema.relay_intent i) then
    raise exception using errcode = 'WB052', message = format('pass %s is not among those that the service remembers', common_n);
  end if;
  create temporary table kept_message on commit drop as
    select o.* from :schema.outbox o
     where (coalesce(o.timer_action, 1) > 1 or not o.message_id = any (in_log))
       and (o.created_at > newest.made_at
            or o.timer_action is null and common.n is null
            or o.timer_action is null and not pg_visible_in_snapshot(o.xid, common.base)
               and not (pg_visible_in_snapshot(o.xid, common.target)
                        and (common.upto_id >= common.end_id or o.id <= common.upto_id))
            or o.timer_action is not null and not pg_visible_in_snapshot(o.xid, newest.base)
               and not (pg_visible_in_snapshot(o.xid, newest.target)
                        and (newest.upto_id >= newest.end_id or o.id <= newest.upto_id)));
  truncate :schema.outbox, :schema.relay_intent;
  insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, created_at,
                              timer_action, deliver_at, timer_token, control, expires_at_ms, signature)
  select k.message_id, k.topic, k.partition_number, k.key, k.headers, k.payload, k.created_at,
         k.timer_action, k.deliver_at, k.timer_token, k.control, k.expires_at_ms, k.signature
    from kept_message k order by k.id;
  get diagnostics kept = row_count;
  insert into :schema.relay_intent (slot, n, token, base, target, after_id, upto_id, end_id, row_count, confirmed_n,
                                    system_identifier)
  select (bus_n / 10000 % 3)::smallint, bus_n, bus_token, before, before, 0, 0, 0, 0, bus_n, c.system_identifier
    from pg_control_system() c;
  perform :schema.forget_published(in_log);
  return kept;
end
$$;
`,
};

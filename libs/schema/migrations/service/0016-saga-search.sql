-- Attributes to find sagas by, and operators' orders to many sagas.

-- The attributes of sagas, derived from their data by the definition. value: as text, so that a number and
-- the text of its digits are both found; kind: its type. They are in the slot of their saga, active or ended, and
-- are removed with it.
create table :schema.saga_attribute (
  slot        smallint not null,
  saga_id     uuid not null,
  name        text not null,
  reply_topic text not null,
  kind        text not null check (kind in ('string', 'number', 'boolean')),
  value       text not null,
  primary key (slot, saga_id, name)
) partition by list (slot);

create index saga_attribute_value on :schema.saga_attribute (name, value, saga_id);

-- Rows are removed by TRUNCATE, like those of saga_ended; few are ever changed.
do $$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.saga_attribute for values in (%s)', 'saga_attribute_s' || slot, slot);
  end loop;
end
$$;

-- Writes the attributes of a saga, in the transition that changes them: [{name, kind, value}].
create function :schema.saga_attributes_save(of_saga uuid, topic text, attributes json) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.saga_slot(of_saga);
begin
  delete from :schema.saga_attribute a
   where a.slot = in_slot and a.saga_id = of_saga
     and not exists (select from json_to_recordset(attributes) as n (name text) where n.name = a.name);
  insert into :schema.saga_attribute as a (slot, saga_id, name, reply_topic, kind, value)
  select in_slot, of_saga, n.name, topic, n.kind, n.value
    from json_to_recordset(attributes) as n (name text, kind text, value text)
  on conflict (slot, saga_id, name) do update set kind = excluded.kind, value = excluded.value
   where a.kind <> excluded.kind or a.value <> excluded.value;
end
$$;

-- An operator's order to many sagas: those that match a filter up to up_to_id; those up to cursor_id are done.
-- event: {"type", "step"}, step is null for the stuck one. skipped: sagas that had moved on, or ended, before they were
-- ordered. The outcomes of the orders are in saga_order.
create table :schema.saga_bulk (
  id         bigint generated always as identity primary key,
  event      jsonb not null,
  filter     jsonb not null,
  actor      text not null default session_user,
  stated_by  text not null,
  reason     text,
  per_second integer not null,
  up_to_id   uuid not null,
  cursor_id  uuid not null default '00000000-0000-0000-0000-000000000000',
  total      bigint not null,
  ordered    bigint not null default 0,
  skipped    bigint not null default 0,
  state      text not null default 'running' check (state in ('running', 'done', 'cancelled')),
  started_at timestamptz not null default clock_timestamp(),
  moved_at   timestamptz not null default clock_timestamp()
);

create index saga_bulk_moved on :schema.saga_bulk (moved_at);

-- Begins an order to many sagas, and records who gave it.
create function :schema.saga_bulk_begin(
  order_event jsonb, of_filter jsonb, stated_by text, order_reason text, per_second integer, up_to uuid, matching bigint)
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  kind text := order_event->>'type';
  new_id bigint;
begin
  if kind is null or kind not in ('retry', 'skip', 'compensate', 'cancel') then
    raise exception using errcode = '22023', message = 'the order is not valid for many sagas';
  end if;
  insert into :schema.saga_bulk (event, filter, actor, stated_by, reason, per_second, up_to_id, total)
  values (order_event, of_filter, session_user, saga_bulk_begin.stated_by, order_reason, saga_bulk_begin.per_second, up_to,
          matching)
  returning id into new_id;
  perform :schema.audit_own(saga_bulk_begin.stated_by, 'saga.' || kind, 'saga-bulk', new_id::text, order_reason,
    jsonb_build_object('event', order_event, 'filter', of_filter, 'total', matching, 'perSecond', saga_bulk_begin.per_second));
  return new_id;
end
$$;

-- One step of an order to many sagas: the next ones after after_id, as the caller saw them. One that has moved on
-- since, or for which another order waits, is counted as skipped. Steps take turns on the row, and one prepared after a
-- different id does nothing, so another process may resume it while the first is still alive.
create function :schema.saga_bulk_step(
  of_bulk bigint, after_id uuid, saga_ids uuid[], revisions bigint[], steps text[], new_cursor uuid, is_last boolean)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  job :schema.saga_bulk;
  one record;
  order_id bigint;
  done bigint := 0;
  passed bigint := 0;
  kind text;
begin
  select b.* into job from :schema.saga_bulk b where b.id = of_bulk for update;
  if not found or job.state <> 'running' or job.cursor_id <> after_id
     or not (job.actor = session_user::text or :schema.acl_open()) then
    return;
  end if;
  kind := job.event->>'type';
  for one in
    select u.id, u.revision, u.step from unnest(saga_ids, revisions, steps) with ordinality as u (id, revision, step, place)
     order by u.place
  loop
    perform from :schema.saga s
      where s.id = one.id and s.revision = one.revision
        and not exists (select from :schema.saga_order o
                         where o.saga_id = one.id and o.revision = one.revision and o.outcome is null);
    if not found then
      passed := passed + 1;
      continue;
    end if;
    begin
      order_id := :schema.order_saga(
        one.id,
        case when kind in ('retry', 'skip') then jsonb_build_object('type', kind, 'step', one.step)
             else jsonb_build_object('type', kind, 'reason', job.event->>'reason') end,
        one.revision, job.stated_by, job.reason);
      update :schema.saga_order o set bulk_id = of_bulk where o.id = order_id;
      done := done + 1;
    exception when invalid_parameter_value then
      -- It has ended in the meantime.
      passed := passed + 1;
    end;
  end loop;
  update :schema.saga_bulk b
     set cursor_id = new_cursor, ordered = b.ordered + done, moved_at = clock_timestamp(),
         -- Including those that no longer matched at their turn.
         skipped = greatest(b.skipped + passed, case when is_last then b.total - b.ordered - done else 0 end),
         state = case when is_last then 'done' else b.state end
   where b.id = of_bulk;
end
$$;

-- Ends a running order to many sagas; false if there is none. Orders already given stay.
create function :schema.saga_bulk_cancel(of_bulk bigint, stated_by text, why text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update :schema.saga_bulk b set state = 'cancelled', moved_at = clock_timestamp()
   where b.id = of_bulk and b.state = 'running' and (b.actor = session_user::text or :schema.acl_open());
  if not found then
    return false;
  end if;
  perform :schema.audit_own(saga_bulk_cancel.stated_by, 'cancel', 'saga-bulk', of_bulk::text, why, '{}'::jsonb);
  return true;
end
$$;

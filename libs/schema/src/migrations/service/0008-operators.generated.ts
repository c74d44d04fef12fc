// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0008: Migration = {
  number: 8,
  name: '0008-operators',
  breaking: false,
  checksum: '87c2f1c066dab2856caf53d397a8f8561518965e01e5ef5f585d17b35e33598f',
  sql: `-- Operators' decisions: redriving and discarding dead letters and quarantined messages, and the audit record of who did
-- what when.

-- One row for each action of an operator, never changed. actor is the login, which cannot be forged; stated_by is
-- the name given.
create table :schema.operator_action (
  id          bigint generated always as identity primary key,
  acted_at    timestamptz not null default clock_timestamp(),
  actor       text not null default session_user,
  stated_by   text not null default session_user check (stated_by <> ''),
  action      text not null,
  target_kind text not null,
  target      text not null,
  reason      text,
  details     jsonb not null default '{}'
);

create function :schema.sign_action() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  new.actor := session_user;
  new.acted_at := clock_timestamp();
  return new;
end
$$;

create trigger sign_action before insert on :schema.operator_action
  for each row execute function :schema.sign_action();

create index operator_action_acted on :schema.operator_action (acted_at);
create index operator_action_target on :schema.operator_action (target_kind, target, id);

-- Removes records of operators' actions that are older than keep_ms, up to most of them; returns how many. Nothing else
-- may delete any, and only the owner may delete any younger than 30 days.
create function :schema.audit_forget(keep_ms bigint, most integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  floor_ms bigint := case when session_user = current_user then 0 else 30 * 86400000::bigint end;
  horizon timestamptz := clock_timestamp() - greatest(keep_ms, floor_ms) * interval '1 millisecond';
  removed bigint;
begin
  delete from :schema.operator_action a
   where a.id = any (array(select o.id from :schema.operator_action o
                            where o.acted_at < horizon order by o.acted_at limit most));
  get diagnostics removed = row_count;
  return removed;
end
$$;

-- Records an operator's action, with login and stated name.
create function :schema.audit_own(stated_by text, of_action text, of_kind text, of_target text, why text, of_details jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(btrim(stated_by), '') = '' then
    raise exception using errcode = '22023', message = 'stated_by must name who decides';
  end if;
  insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
  values (audit_own.stated_by, of_action, of_kind, of_target, why, of_details);
end
$$;

-- Releases an entity held for a saga, by an operator's decision, and records who decided; no row if it is not held.
-- Commands that wait for it are sent again by the service, see saga_wake. The login needs the right to execute this
-- function and no other.
create function :schema.unlock_entity(of_entity text, stated_by text, why text default null)
returns table (saga_id uuid, branch text, locked_at timestamptz, waiting bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  held record;
  waiters bigint;
begin
  perform :schema.acl_assert_open('release entities');
  delete from :schema.saga_lock l where l.entity = of_entity returning l.saga_id, l.branch, l.locked_at into held;
  if not found then
    return;
  end if;
  select count(*) into waiters from :schema.saga_stash s where s.entity = of_entity;
  perform :schema.audit_own(unlock_entity.stated_by, 'saga.unlock', 'entity', of_entity, why,
    jsonb_build_object('saga', held.saga_id, 'branch', held.branch, 'lockedAt', held.locked_at, 'waiting', waiters));
  return query select held.saga_id, held.branch, held.locked_at, waiters;
end
$$;

-- A redrive of the dead letters that match a filter, in steps: those up to cursor_id are done. Dead letters that are
-- newer than up_to_id are not part of it, so that it ends.
create table :schema.redrive (
  id          bigint generated always as identity primary key,
  filter      jsonb not null,
  actor       text not null default session_user,
  stated_by   text not null,
  per_second  integer not null,
  up_to_id    bigint not null,
  cursor_id   bigint not null default 0,
  total       bigint not null,
  redriven    bigint not null default 0,
  state       text not null default 'running' check (state in ('running', 'done', 'cancelled')),
  started_at  timestamptz not null default clock_timestamp(),
  moved_at    timestamptz not null default clock_timestamp()
);

-- A payload as JSON; null if it is not JSON.
create function :schema.json_or_null(payload bytea) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
  return convert_from(payload, 'UTF8')::jsonb;
exception when others then
  return null;
end
$$;

-- The dead letters that match a filter, by id. The filter is an object; an omitted field matches everything:
-- ids (array), group, topic, handler, key, reason, errorClass, fingerprint, messageId, states (array), from, to (times
-- of the last failure), payload (array of {path: array of names, value: text}).
create function :schema.dead_letter_ids(filter jsonb, after_id bigint, most integer) returns setof bigint
language sql stable
begin atomic
  select d.id
    from :schema.dead_letter d
    join :schema.consumer_group g on g.id = d.group_id
   where d.id > after_id
     and (filter->'ids' is null or d.id in (select i.id::bigint from jsonb_array_elements_text(filter->'ids') as i (id)))
     and (filter->>'group' is null or g.name = filter->>'group')
     and (filter->>'topic' is null or d.topic = filter->>'topic')
     and (filter->>'handler' is null or d.handler = filter->>'handler')
     and (filter->>'key' is null or d.key = filter->>'key')
     and (filter->>'reason' is null or d.reason = filter->>'reason')
     and (filter->>'errorClass' is null or d.error_class = filter->>'errorClass')
     and (filter->>'fingerprint' is null or d.fingerprint = filter->>'fingerprint')
     and (filter->>'messageId' is null or d.message_id = filter->>'messageId')
     and (filter->'states' is null
          or d.state in (select s.state from jsonb_array_elements_text(filter->'states') as s (state)))
     and (filter->>'from' is null or d.last_failed_at >= (filter->>'from')::timestamptz)
     and (filter->>'to' is null or d.last_failed_at < (filter->>'to')::timestamptz)
     and (filter->'payload' is null or not exists (
            select from jsonb_array_elements(filter->'payload') as c (condition)
             where :schema.json_or_null(d.payload)
                     #>> array(select jsonb_array_elements_text(c.condition->'path'))
                   is distinct from c.condition->>'value'))
   order by d.id
   limit most;
end;

-- Sends open dead letters back to the handler that failed, each once: the owner of the partition runs them in
-- order of their offsets within a key. Returns their number.
create function :schema.redrive_dead_letters(letter_ids bigint[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  redriven bigint;
begin
  perform from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id for update;
  insert into :schema.parked_message as m (group_id, partition_id, log_offset, bucket_seq, message_id, key, headers,
                                           payload, timestamp_ms, due_at, from_dead_letter)
  select d.group_id, d.partition_id, d.log_offset, d.bucket_seq, d.message_id, d.key, d.headers, d.payload,
         d.timestamp_ms, clock_timestamp(), true
    from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id
  on conflict (group_id, partition_id, log_offset) do update
     set message_id = excluded.message_id, headers = excluded.headers, payload = excluded.payload,
         due_at = excluded.due_at, attempts = 0, crashes = 0, in_flight = false, first_failed_at = null,
         from_dead_letter = true;
  update :schema.dead_letter d
     set state = 'redriving', state_since = clock_timestamp(), redrives = d.redrives + 1
   where d.id = any (letter_ids) and d.state = 'open';
  get diagnostics redriven = row_count;
  return redriven;
end
$$;

-- One step of a redrive: up to most dead letters. Steps of one redrive take turns on its row, so it may be resumed by
-- another process while the first is still alive. Returns the redrive's state after the step.
create function :schema.redrive_step(redrive_id bigint, most integer) returns setof :schema.redrive
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  job :schema.redrive;
  found_ids bigint[];
  moved bigint;
begin
  select r.* into job from :schema.redrive r where r.id = redrive_id for update;
  if job.state = 'running' then
    found_ids := array(select i.id from :schema.dead_letter_ids(job.filter, job.cursor_id, most) as i (id)
                        where i.id <= job.up_to_id);
    moved := :schema.redrive_dead_letters(found_ids);
    update :schema.redrive r
       set cursor_id = coalesce((select max(i.id) from unnest(found_ids) as i (id)), r.cursor_id),
           redriven = r.redriven + moved, moved_at = clock_timestamp(),
           state = case when cardinality(found_ids) = 0 then 'done' else r.state end
     where r.id = redrive_id;
  end if;
  return query select r.* from :schema.redrive r where r.id = redrive_id;
end
$$;

-- Discards open dead letters, and releases the messages that waited for them. Returns their ids.
create function :schema.discard_dead_letters(letter_ids bigint[]) returns setof bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id for update;
  delete from :schema.parked_message m
   using :schema.dead_letter d
   where d.id = any (letter_ids) and d.state = 'open'
     and m.group_id = d.group_id and m.partition_id = d.partition_id and m.log_offset = d.log_offset;
  return query
  update :schema.dead_letter d set state = 'discarded', state_since = clock_timestamp()
   where d.id = any (letter_ids) and d.state = 'open'
  returning d.id;
end
$$;

-- Messages that no relay could move, or whose timer could not be fired, with all the values of their rows: the columns
-- of the outbox, and the reason. One that was set aside when its timer was fired has its due time as deliver_at, and
-- published_by ''.
create table :schema.outbox_quarantine (
  like :schema.outbox,
  origin         text not null check (origin in ('outbox', 'timer')),
  reason_code    text not null,
  reason         text not null,
  quarantined_at timestamptz not null default clock_timestamp(),
  quarantine_id  bigint generated always as identity primary key
);

alter table :schema.outbox_quarantine alter column payload set storage external;

-- Sets rows of the outbox aside, in the pass of the relay that leaves them out: of the difference between two
-- snapshots.
create function :schema.outbox_set_aside(row_ids bigint[], codes text[], reasons text[], base pg_snapshot, target pg_snapshot)
returns void
language sql volatile set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.outbox_quarantine (slot, id, xid, message_id, topic, partition_number, key, headers, payload,
                                         created_at, timer_action, deliver_at, timer_token, control, expires_at_ms,
                                         signature, published_by, origin, reason_code, reason)
  select o.slot, o.id, o.xid, o.message_id, o.topic, o.partition_number, o.key, o.headers, o.payload, o.created_at,
         o.timer_action, o.deliver_at, o.timer_token, o.control, o.expires_at_ms, o.signature, o.published_by, 'outbox',
         r.code, r.reason
    from unnest(row_ids, codes, reasons) with ordinality as r (id, code, reason, place)
    join :schema.outbox o on o.id = r.id
   where pg_visible_in_snapshot(o.xid, target) and not pg_visible_in_snapshot(o.xid, base)
   order by r.place
$$;

-- Sets messages aside whose timers are being fired, in the transaction that has deleted the timers.
create function :schema.timer_set_aside(timer_ids bigint[], message_ids uuid[], tokens text[], topics text[],
                                        partitions integer[], keys text[], all_headers text[], payloads bytea[],
                                        due_ms bigint[], codes text[], reasons text[]) returns void
language sql volatile set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.outbox_quarantine (slot, id, xid, message_id, topic, partition_number, key, headers, control, payload,
                                         created_at, timer_action, deliver_at, timer_token, published_by, origin,
                                         reason_code, reason)
  select 0, t.id, pg_current_xact_id(), coalesce(t.message_id, :schema.uuid_v7()), coalesce(t.topic, ''), t.partition_number,
         t.key,
         case when jsonb_typeof(t.headers::jsonb) <> 'object' then t.headers::jsonb
              else (select jsonb_object_agg(h.key, h.value) from jsonb_each(t.headers::jsonb) h
                     where h.key not like 'waybill-%') end,
         case when jsonb_typeof(t.headers::jsonb) = 'object'
              then (select jsonb_object_agg(h.key, h.value) from jsonb_each(t.headers::jsonb) h
                     where h.key like 'waybill-%') end,
         t.payload, clock_timestamp(), 1,
         timestamptz 'epoch' + t.due_ms::double precision * interval '1 millisecond', t.token, '', 'timer', t.code, t.reason
    from unnest(timer_ids, message_ids, tokens, topics, partitions, keys, all_headers, payloads, due_ms, codes, reasons)
      with ordinality as t (id, message_id, token, topic, partition_number, key, headers, payload, due_ms, code, reason, place)
   order by t.place
$$;

-- Publishes quarantined messages again, after all that has been published since. Returns the ids found.
-- Raises WB001 and WB006 for messages that still could not be moved.
create function :schema.outbox_requeue(quarantine_ids bigint[]) returns setof bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_publish(q.topic)
     from :schema.outbox_quarantine q where q.quarantine_id = any (quarantine_ids) and coalesce(q.timer_action, 1) = 1;
  perform from :schema.outbox_quarantine q where q.quarantine_id = any (quarantine_ids) order by q.quarantine_id for update;
  insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, created_at, timer_action,
                              deliver_at, timer_token, control, expires_at_ms, signature)
  select q.message_id, case when q.timer_action > 1 then q.topic else :schema.known_topic(q.topic, q.partition_number) end,
         q.partition_number, q.key, q.headers, q.payload, q.created_at, q.timer_action, q.deliver_at, q.timer_token,
         q.control, q.expires_at_ms, q.signature
    from :schema.outbox_quarantine q where q.quarantine_id = any (quarantine_ids) order by q.quarantine_id;
  return query
  delete from :schema.outbox_quarantine q where q.quarantine_id = any (quarantine_ids) returning q.quarantine_id;
end
$$;
`,
};

-- Half messages: messages that are stored and invisible until their producer's local transaction, in another database
-- or in no database, has ended.

-- Undecided ones. state: 1 prepared, 4 undecided (waits for an operator). A check claims a prepared one by
-- moving next_check_at to the end of its lease and raising lease_epoch; its answer counts under that epoch only.
-- checks counts answers UNKNOWN, unanswered the checks since the last answer, failing_since is when the
-- first of them was, and last_failure names the last one's error, by code or class. local says where and
-- how the local transaction can be queried; null: by a check of the user's.
create table :schema.half_message (
  id                uuid primary key,
  producer_group    text not null,
  state             smallint not null default 1 check (state in (1, 4)),
  prepared_at       timestamptz not null default clock_timestamp(),
  next_check_at     timestamptz not null,
  deadline_at       timestamptz,
  check_interval_ms bigint not null,
  check_max         integer not null,
  checks            integer not null default 0,
  unanswered        integer not null default 0,
  lease_epoch       bigint not null default 0,
  claimed_by        text,
  last_result       text,
  local             jsonb,
  messages          jsonb not null,
  payloads          bytea[] not null,
  failing_since     timestamptz,
  last_failure      text
) with (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0.05);

create index half_message_due on :schema.half_message (producer_group, next_check_at) where state = 1;
create index half_message_undecided on :schema.half_message (id) where state = 4;
create index half_message_failing on :schema.half_message (failing_since) where failing_since is not null;

-- Decided ones, without their payloads: 2 committed, 3 rolled back. A ring of nine slots of a day each.
create table :schema.half_message_decided (
  slot           smallint not null,
  id             uuid not null,
  producer_group text not null,
  state          smallint not null check (state in (2, 3)),
  prepared_at    timestamptz not null,
  decided_at     timestamptz not null default clock_timestamp(),
  decided_by     text not null,
  reason         text,
  checks         integer not null,
  messages       jsonb not null
) partition by list (slot);

create index half_message_decided_id on :schema.half_message_decided (id);

do $$
begin
  for slot in 0..8 loop
    execute format('create table :schema.%I partition of :schema.half_message_decided for values in (%s)
                      with (autovacuum_enabled = off)', 'half_message_decided_s' || slot, slot);
  end loop;
end
$$;

-- Stores a half message, on disk before it returns. Topics are those of the log. Returns the current time.
create function :schema.half_prepare(
  half_id uuid, of_group text, immunity_ms bigint, deadline_ms bigint, interval_ms bigint, max_checks integer,
  of_local jsonb, of_messages jsonb, of_payloads bytea[])
returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  perform :schema.commit_to_disk();
  perform :schema.known_topic(m.topic, m.partition)
     from jsonb_to_recordset(of_messages) as m (topic text, partition integer);
  insert into :schema.half_message (id, producer_group, prepared_at, next_check_at, deadline_at, check_interval_ms,
                                    check_max, local, messages, payloads)
  values (half_id, of_group, now_at, now_at + immunity_ms * interval '1 millisecond',
          now_at + deadline_ms * interval '1 millisecond', interval_ms, max_checks, of_local, of_messages, of_payloads);
  return :schema.timer_ms(now_at);
end
$$;

-- Decides a half message, and returns its content, for the transaction that also delivers it. The row's lock
-- comes first; other decisions are looked for after it, in a later statement.
-- verdict: 2 commit, 3 roll back. in_epoch: that of the claim under which a check has answered; null for all other
-- callers.
-- outcome: done; already (decided so before); refused (decided otherwise before); fenced (another claim is newer);
-- open (not in one of from_states); missing.
create function :schema.half_decide(
  half_id uuid, verdict smallint, by_whom text, why text, in_epoch bigint, from_states smallint[])
returns table (outcome text, state smallint, decided_by text, reason text, now_ms bigint, messages text,
               payloads bytea[])
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  half :schema.half_message;
  now_at timestamptz;
begin
  select h.* into half from :schema.half_message h where h.id = half_id for update;
  if found then
    state := half.state;
    if in_epoch <> half.lease_epoch then
      outcome := 'fenced';
    elsif half.state <> all (from_states) then
      outcome := 'open';
    else
      perform :schema.commit_to_disk();
      now_at := clock_timestamp();
      delete from :schema.half_message h where h.id = half_id;
      insert into :schema.half_message_decided (slot, id, producer_group, state, prepared_at, decided_at, decided_by,
                                                reason, checks, messages)
      values ((floor(extract(epoch from now_at) / 86400)::bigint % 9)::smallint, half_id, half.producer_group, verdict,
              half.prepared_at, now_at, by_whom, why, half.checks, half.messages);
      outcome := 'done';
      state := verdict;
      decided_by := by_whom;
      reason := why;
      now_ms := :schema.timer_ms(now_at);
      messages := half.messages::text;
      payloads := half.payloads;
    end if;
  else
    select d.state, d.decided_by, d.reason into state, decided_by, reason
      from :schema.half_message_decided d where d.id = half_id;
    outcome := case when not found then 'missing' when state = verdict then 'already' else 'refused' end;
  end if;
  return next;
end
$$;

-- Commits prepared half messages whose content the caller knows, all of them; if one is no longer prepared, none and
-- an error (WB008). The rows are locked in id order, so that two callers cannot deadlock.
create function :schema.half_commit_prepared(half_ids uuid[], by_whom text) returns void
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  half_id uuid;
  how text;
begin
  perform from :schema.half_message h where h.id = any (half_ids) order by h.id for update;
  foreach half_id in array half_ids loop
    select d.outcome into how from :schema.half_decide(half_id, 2::smallint, by_whom, null, null, '{1}') d;
    if how <> 'done' then
      raise exception using errcode = 'WB008', message = format('half message %s is not prepared: %s', half_id, how);
    end if;
  end loop;
end
$$;

-- Claims half messages of a group that are due to be checked, for lease_ms milliseconds, longest due first. The
-- lower bound keeps it from scanning decided ones.
create function :schema.half_claim(of_group text, low timestamptz, most integer, lease_ms integer, by_checker text)
returns table (id uuid, lease_epoch bigint, checks integer, prepared_at timestamptz, "local" text, messages text,
               payloads bytea[], now_ms bigint)
language plpgsql
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  return query
  with due as materialized (
    select h.id from :schema.half_message h
     where h.producer_group = of_group and h.state = 1 and h.next_check_at >= low and h.next_check_at <= now_at
     order by h.next_check_at limit most for update skip locked
  )
  update :schema.half_message h
     set next_check_at = now_at + lease_ms * interval '1 millisecond', lease_epoch = h.lease_epoch + 1,
         claimed_by = by_checker
    from due d where h.id = d.id
  returning h.id, h.lease_epoch, h.checks, h.prepared_at, h."local"::text, h.messages::text, h.payloads,
            :schema.timer_ms(now_at);
end
$$;

-- Empties a slot of decided half messages if the newest in it is older than retention_ms. Checked after taking the
-- lock, which is waited for at most 50 ms (55P03).
create function :schema.half_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  slot_name text := 'half_message_decided_s' || slot_number;
  needed boolean;
  filled boolean;
begin
  if not :schema.acl_open() then
    return false;
  end if;
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute format('select exists (select from :schema.%I d where d.decided_at > clock_timestamp() - $1)', slot_name)
    into needed using retention_ms * interval '1 millisecond';
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;

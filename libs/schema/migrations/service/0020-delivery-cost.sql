-- What makes deliveries and sagas cheaper.

-- Undoes what the handler of one message may have left in its session, before that of the next one in the same transaction:
-- settings, session locks, cursors and temporary tables. One call instead of a statement for each. The caller has reset the
-- role. limit_ms: how long the transaction may be idle, or wait for a lock.
create function :schema.session_reset(limit_ms text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  set session authorization default;
  reset all;
  execute 'close all';
  discard temp;
  perform pg_catalog.pg_advisory_unlock_all(),
          pg_catalog.set_config('idle_in_transaction_session_timeout', limit_ms, true),
          pg_catalog.set_config('lock_timeout', limit_ms, true);
end
$$;

-- As before, but looks for children only where there are some.
create or replace function :schema.saga_end(
  of_saga uuid, from_revision bigint, in_state smallint, why text, of_content json, of_transition json)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
  done :schema.saga;
begin
  delete from :schema.saga s where s.id = of_saga and s.revision = from_revision returning s.* into done;
  if not found then
    perform :schema.saga_overtaken(of_saga, from_revision);
  end if;
  delete from :schema.saga_event_wait w where w.saga_id = of_saga;
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  values (:schema.saga_slot(of_saga), of_saga, done.saga_type, done.definition_version, done.saga_key,
          done.reply_topic, in_state, from_revision + 1, done.started_at, now_at, done.parent_id, done.parent_step, why,
          of_content);
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(of_saga), of_saga, from_revision + 1, now_at, in_state, of_transition);
  if not exists (select from :schema.saga s where s.parent_id = of_saga and s.state >= 4) then
    return true;
  end if;
  with recursive children as (
    select s.id from :schema.saga s where s.parent_id = of_saga and s.state >= 4
    union all
    select s.id from :schema.saga s join children c on s.parent_id = c.id where s.state >= 4
  ), gone as (
    delete from :schema.saga s using children c where s.id = c.id returning s.*
  )
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state,
         g.revision, g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
    from gone g;
  return true;
end
$$;

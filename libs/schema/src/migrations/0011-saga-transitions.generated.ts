// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0011: Migration = {
  number: 11,
  name: '0011-saga-transitions',
  breaking: false,
  checksum: '1697bfa2aa019e40c0af6e8279722332fe5c5a61255d25cf918c806a2bba65c8',
  sql: `-- A transition of a saga is sent without waiting for an answer: what must not be is an error now, where it was an answer.

create function :schema.saga_overtaken(saga_id uuid, from_revision bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'XX000', message = format(
    'saga %s is not at revision %s any more, in spite of its lock', saga_id, from_revision);
end
$$;

-- Writes a transition: the saga as it is now, and what happened. Fails when another transition was faster.
-- exactly: whether wake_at is set as it is, not left where it would only be early.
create or replace function :schema.saga_save(
  saga_id uuid, from_revision bigint, in_state smallint, wake_ms bigint, exactly boolean, why text, of_content json,
  of_transition json)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  update :schema.saga s
     set revision = s.revision + 1, state = in_state, changed_at = now_at, reason = why, content = of_content,
         wake_at = case
           when exactly or s.wake_at is null or s.started_at + wake_ms * interval '1 millisecond' < s.wake_at
             then s.started_at + wake_ms * interval '1 millisecond'
           else s.wake_at
         end
   where s.id = saga_id and s.revision = from_revision;
  if not found then
    perform :schema.saga_overtaken(saga_id, from_revision);
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, from_revision + 1, now_at, in_state, of_transition);
  return true;
end
$$;

-- Writes the last transition of a saga, and puts it and its ended children to the ended ones. Fails as saga_save.
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
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  values (:schema.saga_slot(of_saga), of_saga, done.saga_type, done.definition_version, done.saga_key,
          done.reply_topic, in_state, from_revision + 1, done.started_at, now_at, done.parent_id, done.parent_step, why,
          of_content);
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(of_saga), of_saga, from_revision + 1, now_at, in_state, of_transition);
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
`,
};

// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0016: Migration = {
  number: 16,
  name: '0016-participant-actions',
  breaking: false,
  checksum: 'ca1d6b6422cb3a478c0b2df3027010dbbd63c044c99485c4cd36095bd7923824',
  sql: `-- What operators did in a database that has no table operator_action: a participant's own.
create table :schema.participant_action (
  id          bigint generated always as identity primary key,
  acted_at    timestamptz not null default clock_timestamp(),
  actor       text not null default session_user,
  stated_by   text not null,
  action      text not null,
  target_kind text not null,
  target      text not null,
  reason      text,
  details     jsonb not null default '{}'
);

-- Keeps what an operator did, by login and by the name that is stated; where the operators' desk is, at that.
create function :schema.audit_own(stated_by text, of_action text, of_kind text, of_target text, why text, of_details jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(btrim(stated_by), '') = '' then
    raise exception using errcode = '22023', message = 'stated_by must say who decides';
  end if;
  if to_regclass(':schema.operator_action') is not null then
    insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
    values (audit_own.stated_by, of_action, of_kind, of_target, why, of_details);
  else
    insert into :schema.participant_action (actor, stated_by, action, target_kind, target, reason, details)
    values (session_user, audit_own.stated_by, of_action, of_kind, of_target, why, of_details);
  end if;
end
$$;

-- Lets go an entity that is held for a saga, by an operator's decision, and keeps who decided; no row when nothing holds it.
-- Commands that wait for it are sent again by the service, see saga_wake. The login needs the right to execute this function,
-- and no other.
create function :schema.unlock_entity(of_entity text, stated_by text, why text default null)
returns table (saga_id uuid, branch text, locked_at timestamptz, waiting bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  held record;
  waiters bigint;
begin
  perform :schema.acl_assert_open('let go entities');
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
`,
};

// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0016: Migration = {
  number: 16,
  name: '0016-participant-actions',
  breaking: false,
  checksum: '062f66b59568b5f4323172cf60c6a2bfee524a1c849fbca4cb9c5b492f29927e',
  sql: `-- Operators' actions in a database without the table operator_action: a participant's own.
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

-- Records an operator's action, with login and stated name; in operator_action if that table exists.
create function :schema.audit_own(stated_by text, of_action text, of_kind text, of_target text, why text, of_details jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(btrim(stated_by), '') = '' then
    raise exception using errcode = '22023', message = 'stated_by must name who decides';
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
`,
};

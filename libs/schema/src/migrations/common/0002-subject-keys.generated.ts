// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const commonMigration0002: Migration = {
  number: 2,
  name: '0002-subject-keys',
  breaking: false,
  checksum: '83b2a639380610115423e39d6717892d86b8e34ca386e3b0b37b80c558ed9a0a',
  sql: `-- Data keys of subjects (persons, customers): data of a subject are encrypted with its own keys, which are stored here
-- wrapped by the service's cipher. Without them all data encrypted with them are unreadable, wherever they are. Each
-- process makes its own keys, so that publishing reads nothing. A key may be stored twice: transactions that use it
-- first do not wait for each other.
create table :schema.subject_key (
  seq          bigint generated always as identity primary key,
  id           uuid not null,
  subject_hash bytea not null,
  wrapped_key  bytea not null,
  created_at   timestamptz not null default clock_timestamp()
);

create index subject_key_id on :schema.subject_key (id);
create index subject_key_subject on :schema.subject_key (subject_hash);

-- Subjects whose keys have been destroyed: nothing more is encrypted for them.
create table :schema.erased_subject (
  subject_hash bytea primary key,
  erased_at    timestamptz not null default clock_timestamp(),
  erased_by    text not null default session_user
);

-- Stores a key of a subject in the transaction of the data encrypted with it. Raises WB011 if the subject was erased.
-- An erasure waits for transactions that have stored one: it would not see their keys.
create function :schema.keep_subject_key(of_subject bytea, key_id uuid, wrapped bytea) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext(':schema.subject'), hashtext(encode(of_subject, 'hex')));
  if exists (select from :schema.erased_subject e where e.subject_hash = of_subject) then
    raise exception using errcode = 'WB011', detail = encode(of_subject, 'hex'), message = 'the subject was erased';
  end if;
  if not exists (select from :schema.subject_key k where k.id = key_id) then
    insert into :schema.subject_key (id, subject_hash, wrapped_key) values (key_id, of_subject, wrapped);
  end if;
end
$$;

-- Destroys the keys of a subject for good. Returns their number.
create function :schema.destroy_subject_keys(of_subject bytea) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  destroyed integer;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.subject'), hashtext(encode(of_subject, 'hex')));
  insert into :schema.erased_subject (subject_hash) values (of_subject) on conflict do nothing;
  delete from :schema.subject_key k where k.subject_hash = of_subject;
  get diagnostics destroyed = row_count;
  return destroyed;
end
$$;
`,
};

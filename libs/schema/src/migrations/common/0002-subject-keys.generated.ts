// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const commonMigration0002: Migration = {
  number: 2,
  name: '0002-subject-keys',
  breaking: false,
  checksum: '4ba1b248812ae7f6580d74a858093729d9a7fe83748b482bd805fb78340aefd3',
  sql: `-- Data keys of subjects (persons, customers): data of a subject are encrypted with its own keys, which are stored here
-- wrapped by the service's cipher. Without them all data encrypted with them are unreadable, wherever they are. Each
-- process makes its own keys, so that publishing reads nothing. A key may be stored twice: transactions that use it
-- first do not wait for each other. In a service's schema they are what its processes encrypt with; in the log's schema
-- they are what the records of the log were encrypted with, so that services with other databases can read them.
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

-- Stores keys beside the records that were encrypted with them, in the transaction that appends these. A key that is there
-- already is not stored again. That of an erased subject is left out and nothing is raised: its records are in the log as
-- ciphertext that cannot be read. Order by lock, then look: an erasure is either waited for, and seen, or waits for this
-- transaction. One lock for all subjects: a pass may need the keys of very many.
create function :schema.keep_subject_keys(of_subjects bytea[], key_ids uuid[], wrapped bytea[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext(':schema.subject_keys'), 0);
  insert into :schema.subject_key (id, subject_hash, wrapped_key)
  select n.id, n.subject, n.wrapped_key
    from unnest(of_subjects, key_ids, wrapped) as n (subject, id, wrapped_key)
   where not exists (select from :schema.erased_subject e where e.subject_hash = n.subject)
     and not exists (select from :schema.subject_key k where k.id = n.id and k.subject_hash = n.subject);
end
$$;

-- Keys by their ids, wrapped; those that are not here are left out.
create function :schema.subject_keys_of(key_ids uuid[])
returns table (id uuid, subject_hash bytea, wrapped_key bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select distinct on (k.id) k.id, k.subject_hash, k.wrapped_key from :schema.subject_key k
   where k.id = any (key_ids) order by k.id, k.seq
$$;

-- A key of a subject, wrapped, or null if it is not here; and whether the subject was erased here. The caller has to name
-- both: no login can list keys.
create function :schema.read_subject_key(key_id uuid, of_subject bytea, out wrapped bytea, out erased boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select (select k.wrapped_key from :schema.subject_key k where k.id = key_id and k.subject_hash = of_subject limit 1),
         exists (select from :schema.erased_subject e where e.subject_hash = of_subject)
$$;

-- The number of keys of a subject.
create function :schema.count_subject_keys(of_subject bytea) returns integer
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select count(*)::integer from :schema.subject_key k where k.subject_hash = of_subject
$$;

-- Destroys the keys of a subject for good, on disk when its transaction is committed. Returns their number.
create function :schema.destroy_subject_keys(of_subject bytea) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  destroyed integer;
begin
  perform :schema.acl_assert_open('erase');
  perform pg_advisory_xact_lock(hashtext(':schema.subject'), hashtext(encode(of_subject, 'hex')));
  perform pg_advisory_xact_lock(hashtext(':schema.subject_keys'), 0);
  perform set_config('synchronous_commit', 'on', true);
  insert into :schema.erased_subject (subject_hash) values (of_subject) on conflict do nothing;
  delete from :schema.subject_key k where k.subject_hash = of_subject;
  get diagnostics destroyed = row_count;
  return destroyed;
end
$$;
`,
};

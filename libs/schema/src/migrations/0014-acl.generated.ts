// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0014: Migration = {
  number: 14,
  name: '0014-acl',
  breaking: false,
  checksum: 'd01a860b3dd6b5f90331a5c47a0d9c9ee7f0277ce031ba8e46ac41fc43b3d5cd',
  sql: `-- Who may publish to which topics, and consume which topics in which groups. Written by the owner of the schema
-- (\`waybill grants --topics\`), read by the functions below, which the other functions and row-level security (0015)
-- call.
--
-- A login without a row here may do all that its privileges allow. One with a row in acl_login may do only what
-- entries of acl allow, even if there are none. Both hold for the members of the named role, and go by
-- session_user: SET ROLE changes nothing, and neither does a function that runs with its owner's rights.

create table :schema.acl_login (
  login      text primary key,
  granted_at timestamptz not null default clock_timestamp()
);

-- In a pattern \`*\` matches any text.
create table :schema.acl (
  login         text not null references :schema.acl_login (login) on delete cascade,
  action        text not null check (action in ('publish', 'consume')),
  topic_pattern text not null check (topic_pattern ~ '^[A-Za-z0-9._*-]{1,249}$'),
  group_pattern text not null check (group_pattern ~ '^[A-Za-z0-9._*-]{0,249}$'),
  topic_like    text not null generated always as (replace(replace(topic_pattern, '_', '\\_'), '*', '%')) stored,
  group_like    text not null generated always as (replace(replace(group_pattern, '_', '\\_'), '*', '%')) stored,
  primary key (login, action, topic_pattern, group_pattern)
);

-- Whether a login is unrestricted: it is the owner, a superuser, or not listed. One that does not exist is
-- restricted.
create function :schema.acl_open_for(of_login text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  role record;
begin
  if of_login = current_user then
    return true;
  end if;
  -- Evaluated by every statement, so the usual cases come first and use an index: a login that is listed itself, or
  -- that is neither listed nor a member of any role.
  select r.oid, r.rolsuper as super, exists (select from :schema.acl_login a where a.login = of_login) as named,
         exists (select from pg_auth_members m where m.member = r.oid) as member
    into role from pg_roles r where r.rolname = of_login;
  if role.super then
    return true;
  end if;
  if role.oid is null or role.named then
    return false;
  end if;
  if not role.member then
    return true;
  end if;
  return not exists (
    select from :schema.acl_login a join pg_roles r on r.rolname = a.login
     where pg_has_role(role.oid, r.oid, 'member'));
end
$$;

-- The entries that apply to a login.
create function :schema.acl_entries(of_login text) returns setof :schema.acl
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  role record;
begin
  return query select a.* from :schema.acl a where a.login = of_login;
  select r.oid, exists (select from pg_auth_members m where m.member = r.oid) as member
    into role from pg_roles r where r.rolname = of_login;
  if role.member then
    return query
    select a.* from :schema.acl a join pg_roles r on r.rolname = a.login
     where a.login <> of_login and pg_has_role(role.oid, r.oid, 'member');
  end if;
end
$$;

-- The same for the session. Functions that delete rows after a time set by the caller do nothing for a restricted one:
-- the rows are not only its own, and an unrestricted process deletes them.
create function :schema.acl_open() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return :schema.acl_open_for(session_user::text);
end
$$;

-- Whether a login may publish to a topic.
create function :schema.acl_publishes_for(of_login text, topic_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.acl a
    where a.login = of_login and a.action = 'publish' and topic_name like a.topic_like;
  return found
      or :schema.acl_open_for(of_login)
      or exists (select from :schema.acl_entries(of_login) a
                  where a.action = 'publish' and topic_name like a.topic_like);
end
$$;

create function :schema.acl_publishes(topic_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return :schema.acl_publishes_for(session_user::text, topic_name);
end
$$;

-- True, or an error with what to do.
create function :schema.acl_assert_publish(topic_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_publishes_for(session_user::text, topic_name) then
    raise exception using errcode = 'WB040', detail = topic_name, message = format(
      'login %s may not publish to topic %s', session_user, topic_name);
  end if;
  return true;
end
$$;

-- The condition for a row of the outbox: the login may publish to its topic. A row that cancels or moves timers has no
-- topic; it names the login, with whose rights the relay finds the timers.
create function :schema.acl_assert_outbox(timer_action smallint, topic_name text, row_key text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if timer_action in (2, 3) then
    if row_key is distinct from session_user::text then
      raise exception using errcode = 'WB040', detail = coalesce(row_key, ''), message = format(
        'login %s may cancel and move timers only under its own name', session_user);
    end if;
    return true;
  end if;
  -- The login's own entry is looked up here, because this is evaluated for every row.
  perform from :schema.acl a
    where a.login = session_user::text and a.action = 'publish' and topic_name like a.topic_like;
  return found or :schema.acl_assert_publish(topic_name);
end
$$;

-- The login must be allowed to publish to every topic of a half message.
create function :schema.acl_assert_half(messages jsonb) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_publish(m.topic) from jsonb_to_recordset(messages) as m (topic text);
  return true;
end
$$;

-- Appending is publishing: raises unless the session may publish to the topic of every partition.
create function :schema.acl_assert_append(partition_ids integer[]) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    perform :schema.acl_assert_publish(t.name)
       from (select distinct p.topic_id from :schema.topic_partition p where p.id = any (partition_ids)) w
       join :schema.topic t on t.id = w.topic_id;
  end if;
end
$$;

-- Relaying and firing timers read and move all messages: not allowed for a restricted login, which would leave
-- out what it cannot see.
create function :schema.acl_assert_open(doing text) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    raise exception using errcode = 'WB040', detail = doing, message = format(
      'login %s is restricted to certain topics, so it may not %s', session_user, doing);
  end if;
end
$$;

-- Whether the session may read a topic, in any group.
create function :schema.acl_reads_topic(topic_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from :schema.acl_entries(session_user::text) a
                  where a.action = 'consume' and topic_name like a.topic_like);
end
$$;

create function :schema.acl_reads(of_partition integer) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  topic_name text;
begin
  select t.name into topic_name from :schema.topic_partition p join :schema.topic t on t.id = p.topic_id
   where p.id = of_partition;
  perform from :schema.acl a
    where a.login = session_user::text and a.action = 'consume' and topic_name like a.topic_like;
  return found or :schema.acl_reads_topic(topic_name);
end
$$;

-- Whether the session may use a topic in any way: then it may create it.
create function :schema.acl_knows_topic(topic_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return :schema.acl_open()
      or exists (select from :schema.acl_entries(session_user::text) a where topic_name like a.topic_like);
end
$$;

-- Whether the session may act for a group.
create function :schema.acl_group_name(group_name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from :schema.acl_entries(session_user::text) a
                  where a.action = 'consume' and group_name like a.group_like);
end
$$;

-- The groups that the session may act for.
create function :schema.acl_groups() returns setof integer
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select distinct g.id
    from :schema.acl_entries(session_user::text) a
    join :schema.consumer_group g on g.name like a.group_like
   where a.action = 'consume';
end
$$;

-- Whether the session may consume a partition in a group.
create function :schema.acl_consumes(of_group integer, of_partition integer) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from :schema.acl_entries(session_user::text) a, :schema.consumer_group g,
                             :schema.topic_partition p, :schema.topic t
                  where g.id = of_group and p.id = of_partition and t.id = p.topic_id
                    and a.action = 'consume' and t.name like a.topic_like and g.name like a.group_like);
end
$$;

-- Guards are named after groups: a name begins with the group and a slash.
create function :schema.acl_assert_guard(guard_name text) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not (:schema.acl_open() or :schema.acl_group_name(split_part(guard_name, '/', 1))) then
    raise exception using errcode = 'WB040', detail = guard_name, message = format(
      'login %s may not use the guard %s: its name must begin with a group of the login and a slash', session_user,
      left(guard_name, 100));
  end if;
end
$$;

-- Whether the session may read the reply topic of a saga.
create function :schema.acl_saga(of_saga uuid) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from :schema.saga s where s.id = of_saga and :schema.acl_reads_topic(s.reply_topic))
      or exists (select from :schema.saga_ended e
                  where e.slot = :schema.saga_slot(of_saga) and e.id = of_saga
                    and :schema.acl_reads_topic(e.reply_topic));
end
$$;

-- Creates a topic with its partitions; an existing one is left unchanged.
create function :schema.topic_create(topic_name text, partitions integer, keep_ms bigint, dead_letters text, expired text,
                                     backlog_messages bigint default null, backlog_bytes bigint default null)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  new_id integer;
begin
  perform from :schema.topic t where t.name = topic_name;
  if found then
    return;
  end if;
  if not :schema.acl_knows_topic(topic_name) then
    raise exception using errcode = 'WB040', detail = topic_name, message = format(
      'login %s may not create topic %s', session_user, topic_name);
  end if;
  insert into :schema.topic as t (name, partition_count, retention_ms, on_dead_letter, on_expired,
                                  backlog_max_messages, backlog_max_bytes)
  values (topic_name, partitions, keep_ms, dead_letters, expired, backlog_messages, backlog_bytes)
  on conflict (name) do nothing
  returning t.id into new_id;
  insert into :schema.topic_partition (topic_id, number)
  select new_id, n.number from generate_series(0, partitions - 1) as n (number) where new_id is not null;
end
$$;

-- Extends a lease; false if it is not held under the fence.
create function :schema.lease_renew(of_name text, by_fence bigint, lease_ms bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_guard(of_name);
  update :schema.guard_lease l set lease_until = clock_timestamp() + lease_ms * interval '1 millisecond'
   where l.name = of_name and l.fence = by_fence;
  return found;
end
$$;

-- Releases a lease that is held under the fence.
create function :schema.lease_release(of_name text, by_fence bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_guard(of_name);
  delete from :schema.guard_lease l where l.name = of_name and l.fence = by_fence;
end
$$;

-- Removes leases that ended a day ago.
create function :schema.lease_forget(most integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  delete from :schema.guard_lease l
   where l.name in (select e.name from :schema.guard_lease e
                     where e.lease_until < clock_timestamp() - interval '1 day'
                     limit most for update skip locked);
$$;
`,
};

-- Who may publish to which topics, and consume which topics in which groups. Written by the owner of the schema
-- (`waybill grants --topics`), read by the functions below, which the other functions and row-level security
-- call.
--
-- A login without a row here may do all that its privileges allow. One with a row in acl_login may do only what
-- entries of acl allow, even if there are none. Both hold for the members of the named role, and go by
-- session_user: SET ROLE changes nothing, and neither does a function that runs with its owner's rights.

create table :schema.acl_login (
  login      text primary key,
  granted_at timestamptz not null default clock_timestamp()
);

-- In a pattern `*` matches any text.
create table :schema.acl (
  login         text not null references :schema.acl_login (login) on delete cascade,
  action        text not null check (action in ('publish', 'consume')),
  topic_pattern text not null check (topic_pattern ~ '^[A-Za-z0-9._*-]{1,249}$'),
  group_pattern text not null check (group_pattern ~ '^[A-Za-z0-9._*-]{0,249}$'),
  topic_like    text not null generated always as (replace(replace(topic_pattern, '_', '\_'), '*', '%')) stored,
  group_like    text not null generated always as (replace(replace(group_pattern, '_', '\_'), '*', '%')) stored,
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

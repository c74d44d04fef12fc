-- The conditions of the access list (0001) for what only a service's database has.

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

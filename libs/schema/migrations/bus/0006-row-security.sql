-- Row-level security by the access list (0001), for logins other than the owner: the owner and superusers see all rows,
-- at no cost. A login without an entry costs one look-up per statement. Our policies are named waybill_…, by which
-- services know them.

do $do$
declare
  one record;
  -- Like acl_open(). The usual case is decided without a call, which would cost a statement more than the rest of its
  -- policy.
  open text := '(select case
    when exists (select from :schema.acl_login a where a.login = session_user::text) then false
    when not exists (select from pg_auth_members m where m.member = quote_ident(session_user)::regrole) then true
    else :schema.acl_open() end)';
begin
  for one in
    select * from (values
      ('consumer_group', ':schema.acl_group_name(name)'),
      ('group_member', 'group_id in (select :schema.acl_groups())'),
      ('partition_owner', 'group_id in (select :schema.acl_groups())'),
      ('reported_position', 'group_id in (select :schema.acl_groups())')
    ) as t (name, condition)
  loop
    execute format('alter table :schema.%I enable row level security', one.name);
    execute format('create policy waybill_acl on :schema.%I using (%s or %s)', one.name, open, one.condition);
  end loop;

  -- Records are appended by log_append only.
  alter table :schema.log_batch enable row level security;
  execute format('create policy waybill_acl on :schema.log_batch for select using (%s or :schema.acl_reads(partition_id))',
                 open);

  -- Topic names are not secret; their settings may be changed only by logins that use them.
  alter table :schema.topic enable row level security;
  create policy waybill_names on :schema.topic for select using (true);
  execute format('create policy waybill_acl on :schema.topic for update using (%s or :schema.acl_knows_topic(name))', open);
end
$do$;

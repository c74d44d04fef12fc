// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0018: Migration = {
  number: 18,
  name: '0018-row-security',
  breaking: false,
  checksum: 'bb94913cd68c5a2f53b7cd33f419860d266fc9e11bdcb5021f9f17b07abfd7ea',
  sql: `-- Row-level security by the access list (0001), for logins other than the owner: the owner and superusers see all rows,
-- at no cost. A login without an entry costs one look-up per statement. Our policies are named waybill_…, by which
-- services know them.
--
-- Where a condition is false, rows are hidden; if a row would be published, it raises an error instead.

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
      -- Tables with one condition for reading and writing.
      ('timer', ':schema.acl_publishes(topic)'),
      ('recurring_message', ':schema.acl_publishes(topic)'),
      ('consumer_group', ':schema.acl_group_name(name)'),
      ('progress_owner', 'group_id in (select :schema.acl_groups())'),
      ('consumer_position', 'group_id in (select :schema.acl_groups())'),
      ('delivery_mark', 'group_id in (select :schema.acl_groups())'),
      ('crash_charge', 'group_id in (select :schema.acl_groups())'),
      ('retry_budget', 'group_id in (select :schema.acl_groups())'),
      ('parked_message', ':schema.acl_consumes(group_id, partition_id)'),
      ('dead_letter', ':schema.acl_consumes(group_id, partition_id)'),
      ('half_message_decided', ':schema.acl_group_name(producer_group)'),
      ('saga', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_ended', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_transition', ':schema.acl_saga(saga_id)'),
      ('saga_attribute', ':schema.acl_reads_topic(reply_topic)'),
      -- Its filter may contain values that only its operator may see.
      ('saga_bulk', 'actor = session_user::text'),
      ('guard_mac_key', ':schema.acl_group_name(split_part(service, ''/'', 1))'),
      ('saga_mac_key', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_refusal', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_order', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_event_wait', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_definition', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_event', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_ignored', ':schema.acl_reads_topic(reply_topic)'),
      ('saga_call', ':schema.acl_reads_topic(reply_topic)'),
      ('outbox_quarantine', ':schema.acl_publishes(topic)')
    ) as t (name, condition)
  loop
    execute format('alter table :schema.%I enable row level security', one.name);
    execute format('create policy waybill_acl on :schema.%I using (%s or %s)', one.name, open, one.condition);
  end loop;

  alter table :schema.half_message enable row level security;
  execute format('create policy waybill_acl on :schema.half_message using (%1$s or :schema.acl_group_name(producer_group))
                    with check (%1$s or :schema.acl_group_name(producer_group) and :schema.acl_assert_half(messages))', open);

  -- Publishers insert into the slots themselves.
  for one in
    select c.oid::regclass as name from pg_class c
     where c.oid = ':schema.outbox'::regclass
        or c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = ':schema.outbox'::regclass)
  loop
    execute format('alter table %s enable row level security', one.name);
    execute format('create policy waybill_acl on %s for insert
                      with check (%s or :schema.acl_assert_outbox(timer_action, topic, key))', one.name, open);
    execute format('create policy waybill_relay on %s for select using (%s)', one.name, open);
  end loop;
end
$do$;
`,
};

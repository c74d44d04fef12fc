-- One half message, decided or not; with its payloads while it is not decided.
-- Params: id uuid
-- Returns: id uuid, group text, state integer, preparedAt timestamptz, nextCheckAt timestamptz?, deadlineAt timestamptz?,
--   checks integer, checkMax integer?, checkedBy text?, lastResult text?, decidedAt timestamptz?, decidedBy text?,
--   reason text?, messages jsonb, payloads bytea[]?, local jsonb?
-- Index: half_message_pkey, half_message_decided_id
select o.id, o.producer_group as "group", o.state::integer as state, o.prepared_at as "preparedAt",
       o.next_check_at as "nextCheckAt", o.deadline_at as "deadlineAt", o.checks, o.check_max as "checkMax",
       case when o.next_check_at > clock_timestamp() then o.claimed_by end as "checkedBy",
       o.last_result as "lastResult", null::timestamptz as "decidedAt", null::text as "decidedBy",
       null::text as reason, o.messages::text as messages, o.payloads, o.local::text as local
  from :schema.half_message o where o.id = $1
union all
select d.id, d.producer_group, d.state::integer, d.prepared_at, null, null, d.checks, null, null, null, d.decided_at,
       d.decided_by, d.reason, d.messages::text, null, null
  from :schema.half_message_decided d where d.id = $1;

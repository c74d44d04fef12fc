-- Half messages in order of id: filtered by states and group, starting after an id.
-- Params: states integer[], group text?, after uuid?, most integer
-- Returns: id uuid, group text, state integer, preparedAt timestamptz, nextCheckAt timestamptz?, deadlineAt timestamptz?,
--   checks integer, checkMax integer?, checkedBy text?, lastResult text?, decidedAt timestamptz?, decidedBy text?,
--   reason text?, messages jsonb
-- Index: half_message_pkey, half_message_decided_id
(select o.id, o.producer_group as "group", o.state::integer as state, o.prepared_at as "preparedAt",
        o.next_check_at as "nextCheckAt", o.deadline_at as "deadlineAt", o.checks, o.check_max as "checkMax",
        case when o.next_check_at > clock_timestamp() then o.claimed_by end as "checkedBy",
        o.last_result as "lastResult", null::timestamptz as "decidedAt", null::text as "decidedBy",
        null::text as reason, o.messages::text as messages
   from :schema.half_message o
  where o.state = any ($1::smallint[]) and ($2::text is null or o.producer_group = $2)
    and o.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
  order by o.id limit $4)
union all
(select d.id, d.producer_group, d.state::integer, d.prepared_at, null, null, d.checks, null, null, null, d.decided_at,
        d.decided_by, d.reason, d.messages::text
   from :schema.half_message_decided d
  where d.state = any ($1::smallint[]) and ($2::text is null or d.producer_group = $2)
    and d.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
  order by d.id limit $4)
 order by id
 limit $4;

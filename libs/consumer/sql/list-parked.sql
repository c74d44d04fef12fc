-- Parked messages of some partitions, in order of offset, without the messages themselves. dueInMs is null while an
-- operator has to decide, 0 while only its turn is waited for.
-- Params: groupId integer, partitionIds integer[]
-- Returns: partitionId integer, offset bigint, key text?, attempts integer, dueInMs bigint?, failingForMs bigint?,
--   inFlight boolean, crashes integer, fromDeadLetter boolean
-- Index: parked_message_pkey
select m.partition_id as "partitionId", m.log_offset as "offset", m.key, m.attempts,
       case when m.due_at = 'infinity' then null
            else greatest(0, ceil(coalesce(extract(epoch from m.due_at - clock_timestamp()), 0) * 1000.0))::bigint
       end as "dueInMs",
       (extract(epoch from clock_timestamp() - m.first_failed_at) * 1000.0)::bigint as "failingForMs",
       m.in_flight as "inFlight", m.crashes, m.from_dead_letter as "fromDeadLetter"
  from :schema.parked_message m
 where m.group_id = $1 and m.partition_id = any ($2::integer[])
 order by m.partition_id, m.log_offset;

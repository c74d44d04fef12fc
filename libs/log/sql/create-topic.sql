-- Creates a topic and its partitions; a topic that exists is left as it is.
-- Params: name text, partitions integer, retentionMs bigint, onDeadLetter text, onExpired text,
--   backlogMaxMessages bigint?, backlogMaxBytes bigint?
-- Returns: none
-- Locks: the new rows
with created as (
  insert into :schema.topic (name, partition_count, retention_ms, on_dead_letter, on_expired, backlog_max_messages,
                             backlog_max_bytes)
  values ($1, $2, $3, $4, $5, $6, $7)
  on conflict (name) do nothing
  returning id, partition_count
)
insert into :schema.topic_partition (topic_id, number)
select c.id, n.number from created c cross join generate_series(0, c.partition_count - 1) as n (number);

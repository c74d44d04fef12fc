-- The first batch of each partition that has a record with this timestamp or a later one.
-- Params: partitionIds integer[], timestampMs bigint
-- Returns: partitionId integer, baseOffset bigint, data bytea
-- Index: log_batch_offset, from its start
select w.id as "partitionId", n.base_offset as "baseOffset", n.data
  from unnest($1::integer[]) as w (id)
 cross join lateral (select b.base_offset, b.data
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.max_timestamp >= $2
                      order by b.last_offset
                      limit 1) n;

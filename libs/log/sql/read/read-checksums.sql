-- The checksum in the header of the batch that holds the record before an offset; none if there is no such batch.
-- Params: partitionIds integer[], offsets bigint[]
-- Returns: partitionId integer, checksum bigint
-- Index: log_batch_offset
select w.id as "partitionId", ('x' || pg_catalog.encode(n.bytes, 'hex'))::bit(32)::bigint as checksum
  from unnest($1::integer[], $2::bigint[]) as w (id, log_offset)
 cross join lateral (select pg_catalog.substr(b.data, 18, 4) as bytes, b.base_offset
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.last_offset >= w.log_offset - 1
                      order by b.last_offset
                      limit 1) n
 where n.base_offset <= w.log_offset - 1;

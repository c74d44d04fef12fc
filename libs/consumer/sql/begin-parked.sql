-- Notes that parked messages may be started from now on, and reads them. After a crash, that note remains. One that runs
-- alone because of it is charged: crashes counts how often it was started in this way. dueInMs as in list-parked.
-- Params: groupId integer, partitionId integer, offsets bigint[], alone boolean
-- Returns: offset bigint, bucketSeq bigint, key text?, headers text, payload bytea?, timestampMs bigint,
--   attempts integer, crashes integer, dueInMs bigint?
-- Index: parked_message_pkey
update :schema.parked_message m
   set in_flight = true, crashes = m.crashes + $4::boolean::integer
 where m.group_id = $1 and m.partition_id = $2 and m.log_offset = any ($3::bigint[])
returning m.log_offset as "offset", m.bucket_seq as "bucketSeq", m.key, m.headers::text as headers, m.payload,
          m.timestamp_ms as "timestampMs", m.attempts, m.crashes,
          case when m.due_at = 'infinity' then null
               else greatest(0, ceil(coalesce(extract(epoch from m.due_at - clock_timestamp()), 0) * 1000.0))::bigint
          end as "dueInMs";

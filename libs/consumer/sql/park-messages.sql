-- Parks messages. A delay of null: until the message is the first of its key; one of -1: until an operator decides on
-- its dead letter.
-- Params: groupId integer, partitionId integer, offsets bigint[], bucketSeqs bigint[], messageIds text[], keys text[],
--   headers text[], payloads bytea[], timestampsMs bigint[], attempts integer[], delaysMs bigint[],
--   failingForMs bigint[]
-- Returns: none
insert into :schema.parked_message (group_id, partition_id, log_offset, bucket_seq, message_id, key, headers, payload,
                                    timestamp_ms, attempts, due_at, first_failed_at, from_dead_letter)
select $1::integer, $2::integer, m.log_offset, m.bucket_seq, m.message_id, m.key, m.headers::jsonb, m.payload,
       m.timestamp_ms, m.attempts,
       case when m.delay_ms < 0 then 'infinity'
            else clock_timestamp() + m.delay_ms::double precision * interval '1 millisecond' end,
       clock_timestamp() - m.failing_for_ms::double precision * interval '1 millisecond',
       coalesce(m.delay_ms < 0, false)
  from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bigint[],
              $10::integer[], $11::bigint[], $12::bigint[])
    as m (log_offset, bucket_seq, message_id, key, headers, payload, timestamp_ms, attempts, delay_ms,
          failing_for_ms);

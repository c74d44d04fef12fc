-- Stores a message that could not be handled, with its error; reopens its dead letter after a redrive.
-- Params: groupId integer, partitionId integer, offset bigint, bucketSeq bigint, topic text, partition integer,
--   handler text, messageId text?, key text?, headers jsonb, payload bytea?, timestampMs bigint, reason text,
--   errorClass text, errorCode text?, errorMessage text, errorStack text?, fingerprint text, attempts integer,
--   failingForMs bigint
-- Returns: none
insert into :schema.dead_letter as d (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                      message_id, key, headers, payload, timestamp_ms, reason, error_class,
                                      error_code, error_message, error_stack, fingerprint, attempts,
                                      first_failed_at, last_failed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        clock_timestamp() - $20::bigint::double precision * interval '1 millisecond', clock_timestamp())
on conflict (group_id, partition_id, log_offset) do update
   set reason = excluded.reason, error_class = excluded.error_class, error_code = excluded.error_code,
       error_message = excluded.error_message, error_stack = excluded.error_stack,
       fingerprint = excluded.fingerprint, attempts = d.attempts + excluded.attempts,
       last_failed_at = excluded.last_failed_at, state = 'open', state_since = clock_timestamp()
 where d.state = 'redriving';

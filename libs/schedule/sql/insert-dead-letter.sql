-- Keeps a message that could not be handled, with what went wrong.
-- Params: groupId integer, partitionId integer, offset bigint, topic text, partition integer, messageId text?,
--   key text?, headers jsonb, payload bytea?, reason text, errorClass text, errorCode text?, errorMessage text,
--   errorStack text?, fingerprint text, attempts integer, firstFailedAt timestamptz, lastFailedAt timestamptz
-- Returns: none
insert into :schema.dead_letter (group_id, partition_id, log_offset, topic, partition_number, message_id, key, headers,
                                 payload, reason, error_class, error_code, error_message, error_stack, fingerprint,
                                 attempts, first_failed_at, last_failed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
on conflict (group_id, partition_id, log_offset) do nothing;

-- Writes one message with control headers, which only Waybill itself sets, into the current slot of the outbox.
-- current-slot.ts fills in :slot.
-- Params: messageId uuid, topic text, partition integer?, key text?, headers jsonb?, payload bytea?, expiresAtMs bigint?,
--   signature text?, control jsonb
-- Returns: none
-- Locks: none but the new row
insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload, expires_at_ms,
                                   signature, control)
values (:slot, $1::uuid, :schema.known_topic($2::text, $3::integer), $3::integer, $4::text, $5::jsonb, $6::bytea,
        $7::bigint, $8::text, $9::jsonb);

-- Writes one message into the current slot of the outbox, in the caller's transaction. Naming the slot saves the
-- server the routing. current-slot.ts fills in :slot.
-- Params: messageId uuid, topic text, partition integer?, key text?, headers jsonb?, payload bytea?, expiresAtMs bigint?,
--   signature text?
-- Returns: none
-- Locks: none but the new row
insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload,
                                   expires_at_ms, signature)
values (:slot, $1::uuid, :schema.known_topic($2::text, $3::integer), $3::integer, $4::text, $5::jsonb, $6::bytea, $7::bigint, $8::text);

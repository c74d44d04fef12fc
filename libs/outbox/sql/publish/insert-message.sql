-- Writes one message into the current slot of the outbox, in the caller's transaction. Naming the slot saves the
-- server the routing. current-slot.ts fills in :slot.
-- known_topic is asked only for the error: calling a function with settings of its own costs more than the look-up.
-- Params: messageId uuid, topic text, partition integer?, key text?, headers jsonb?, payload bytea?, expiresAtMs bigint?,
--   signature text?
-- Returns: none
-- Locks: none but the new row
insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload,
                                   expires_at_ms, signature)
values (:slot, $1::uuid,
        coalesce((select t.name from :schema.topic t
                   where t.name = $2::text and t.outbox_full is null
                     and ($3::integer is null or $3::integer between 0 and t.partition_count - 1)),
                 :schema.known_topic($2::text, $3::integer)),
        $3::integer, $4::text, $5::jsonb, $6::bytea, $7::bigint, $8::text);

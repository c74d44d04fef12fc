-- Writes several messages into the outbox, in the caller's transaction and in the order of the array.
-- Params: messages jsonb
-- Returns: none
-- Locks: none but the new rows
insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, expires_at_ms, signature)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key, m.headers, decode(m.payload, 'base64'),
       m."expiresAtMs", m.signature
  from jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "expiresAtMs" bigint, signature text);

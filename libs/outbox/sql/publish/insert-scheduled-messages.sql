-- Writes messages into the outbox, some with a delay or an expiry, in the caller's transaction and in
-- the order of the array. Delays and times to live use the database's clock.
-- Params: messages jsonb
-- Returns: none
-- Locks: none but the new rows
insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at,
                            timer_token, expires_at_ms, signature)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key,
       m.headers, decode(m.payload, 'base64'), case when d.deliver_at is not null then 1 end, d.deliver_at, m."timerToken", d.expires_ms, m.signature
  from jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "deliverAt" timestamptz,
          "delayMs" bigint, "expiresAtMs" bigint, "ttlMs" bigint, "timerToken" text, signature text)
 cross join lateral :schema.delivery_time(m.topic, m."deliverAt", m."delayMs", m."expiresAtMs", m."ttlMs") d;

-- Writes messages that a service sends without a caller into the outbox, in the order of the arrays.
-- Params: messageIds uuid[], topics text[], partitions integer[], keys text[], headers text[], controls text[],
--   expiresAtMs bigint[], signatures text[], payloads bytea[]
-- Returns: none
-- Locks: none but the new rows
insert into :schema.outbox (message_id, topic, partition_number, key, headers, control, expires_at_ms, signature, payload)
select m.id, m.topic, m.partition, m.key, m.headers::jsonb, m.control::jsonb, m.expires, m.signature, m.payload
  from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bytea[])
    with ordinality as m (id, topic, partition, key, headers, control, expires, signature, payload, place)
 order by m.place;

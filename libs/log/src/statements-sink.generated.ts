// Made by scripts/build-sql.mjs from ../sql/sink; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Writes messages that a service sends without a caller into the outbox, in the order of the arrays.
 * Locks: none but the new rows
 */
export const enqueueMessages = statement<[messageIds: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], controls: readonly (string | null)[], expiresAtMs: readonly (number | null)[], signatures: readonly (string | null)[], payloads: readonly (Buffer | null)[]], Record<never, never>>('enqueue-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, control, expires_at_ms, signature, payload)
select m.id, m.topic, m.partition, m.key, m.headers::jsonb, m.control::jsonb, m.expires, m.signature, m.payload
  from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bytea[])
    with ordinality as m (id, topic, partition, key, headers, control, expires, signature, payload, place)
 order by m.place`);

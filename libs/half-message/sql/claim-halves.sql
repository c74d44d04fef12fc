-- Claims half messages of a group that are due to be checked, none due before low (milliseconds since the epoch).
-- Params: group text, lowMs bigint, most integer, leaseMs integer, by text
-- Returns: id uuid, epoch bigint, checks integer, preparedAt timestamptz, local jsonb?, messages jsonb, payloads bytea[],
--   nowMs bigint
-- Locks: the claimed rows; locked rows are skipped
-- Index: half_message_due
select c.id, c.lease_epoch as epoch, c.checks, c.prepared_at as "preparedAt", c."local", c.messages, c.payloads,
       c.now_ms as "nowMs"
  from :schema.half_claim($1, timestamptz 'epoch' + $2::bigint::double precision * interval '1 millisecond', $3, $4, $5) c;

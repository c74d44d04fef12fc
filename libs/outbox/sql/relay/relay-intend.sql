-- Stores a pass, in the transaction that has begun it.
-- Params: afterN bigint, afterToken uuid, token uuid, base pg_snapshot, target pg_snapshot, afterId bigint, uptoId bigint,
--   endId bigint, rowCount integer, excluded bigint[], confirmedN bigint
-- Returns: none
select :schema.relay_intend($1, $2::uuid, $3::uuid, $4::pg_snapshot, $5::pg_snapshot, $6, $7, $8, $9, $10, $11)::text;

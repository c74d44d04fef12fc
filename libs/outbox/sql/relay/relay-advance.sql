-- Stores the cursor after a pass.
-- Params: afterSeq bigint, base pg_snapshot, target pg_snapshot?, windowId bigint?, windowEnd bigint?
-- Returns: none
select :schema.relay_advance($1, $2::pg_snapshot, $3::pg_snapshot, $4, $5);

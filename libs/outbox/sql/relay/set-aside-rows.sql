-- Quarantines rows of the difference between two snapshots that a pass leaves out.
-- Params: rowIds bigint[], codes text[], reasons text[], base pg_snapshot, target pg_snapshot
-- Returns: none
-- Locks: none but the new rows
-- Index: outbox_order
select :schema.outbox_set_aside($1, $2, $3, $4::pg_snapshot, $5::pg_snapshot);

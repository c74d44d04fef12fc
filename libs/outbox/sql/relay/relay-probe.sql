-- Whether any message after the cursor is waiting.
-- Params: base pg_snapshot
-- Returns: waiting boolean
-- Index: outbox_xid
select :schema.relay_probe($1::pg_snapshot) as waiting;

-- Whether any message after the cursor is waiting, and when the server was started.
-- Params: base pg_snapshot
-- Returns: waiting boolean, incarnation bigint
-- Index: outbox_xid
select :schema.relay_probe($1::pg_snapshot) as waiting, :schema.incarnation() as incarnation;

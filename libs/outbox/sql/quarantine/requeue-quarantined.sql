-- Publishes quarantined messages again.
-- Params: ids bigint[]
-- Returns: id bigint
-- Locks: the rows
select r.id from :schema.outbox_requeue($1) as r (id);

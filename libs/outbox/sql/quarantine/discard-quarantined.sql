-- Removes quarantined messages.
-- Params: ids bigint[]
-- Returns: id bigint
-- Locks: the rows
delete from :schema.outbox_quarantine q where q.quarantine_id = any ($1) returning q.quarantine_id as id;

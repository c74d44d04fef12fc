-- Starts the relay over from what service and log both know, keeping messages that are not in the log. For operators.
-- Params: commonN bigint, busN bigint, busToken uuid, inLog uuid[]
-- Returns: kept bigint
-- Locks: the relay's, and the outbox exclusively
select :schema.relay_reconcile($1, $2, $3::uuid, $4::uuid[]) as kept;

-- Lets the relay start over on another cluster, keeping messages that had not been moved. For operators.
-- Params: none
-- Returns: kept bigint
-- Locks: the relay's, and the outbox exclusively
select :schema.relay_adopt() as kept;

-- Lets the relay start over on another cluster, keeping what had not been moved. For an operator.
-- Params: none
-- Returns: kept bigint
-- Locks: the relay's, and the outbox exclusively
select :schema.relay_adopt() as kept;

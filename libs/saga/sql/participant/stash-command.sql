-- Stores a command until an entity is released; false if too many wait for it.
-- Params: entity text, most integer, waitMs bigint, topic text, key text?, headers jsonb, control jsonb,
--   payload bytea?
-- Returns: stashed boolean
-- Locks: the new row
select :schema.saga_stash_command($1, $2, $3, $4, $5, $6::json, $7::json, $8) as stashed;

-- Writes a transition of a saga; false when another transition was faster.
-- Params: id uuid, fromRevision bigint, state integer, wakeMs bigint?, exactly boolean, reason text?, content jsonb,
--   transition jsonb
-- Returns: saved boolean
-- Locks: the saga
-- Index: saga_pkey
select :schema.saga_save($1, $2, $3::smallint, $4, $5, $6, $7::json, $8::json) as saved;

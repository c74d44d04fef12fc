-- Writes a transition of a saga; fails if another transition came first, which its lock prevents.
-- Params: id uuid, fromRevision bigint, state integer, wakeMs bigint?, exactly boolean, reason text?, content jsonb,
--   transition jsonb
-- Returns: none
-- Locks: the saga
-- Index: saga_pkey
select from :schema.saga_save($1, $2, $3::smallint, $4, $5, $6, $7::json, $8::json);

-- Releases an entity by an operator's decision; no row if no saga holds it.
-- Params: entity text, statedBy text, reason text?
-- Returns: sagaId uuid, branch text, lockedAt timestamptz, waiting bigint
-- Locks: the entity
-- Index: saga_lock_pkey, saga_stash_entity
select u.saga_id as "sagaId", u.branch, u.locked_at as "lockedAt", u.waiting
  from :schema.unlock_entity($1, $2, $3::text) u;

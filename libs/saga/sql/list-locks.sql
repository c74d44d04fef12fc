-- What is held for sagas, the oldest first, and how many commands wait for it.
-- Params: most integer
-- Returns: entity text, sagaId uuid, branch text, lockedAt timestamptz, waiting bigint
-- Index: saga_lock_pkey, saga_stash_entity
select l.entity, l.saga_id as "sagaId", l.branch, l.locked_at as "lockedAt",
       (select count(*) from :schema.saga_stash s where s.entity = l.entity)::bigint as waiting
  from :schema.saga_lock l
 order by l.locked_at
 limit $1::integer;

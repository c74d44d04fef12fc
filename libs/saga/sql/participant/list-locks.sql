-- Locked entities, the oldest lock first, and the number of commands that wait for each.
-- Params: entity text?, olderThanMs bigint, most integer
-- Returns: entity text, sagaId uuid, branch text, lockedAt timestamptz, waiting bigint
-- Index: saga_lock_pkey, saga_stash_entity
select l.entity, l.saga_id as "sagaId", l.branch, l.locked_at as "lockedAt",
       (select count(*) from :schema.saga_stash s where s.entity = l.entity)::bigint as waiting
  from :schema.saga_lock l
 where ($1::text is null or l.entity = $1::text)
   and l.locked_at <= (select clock_timestamp() - $2::bigint::double precision * interval '1 millisecond')
 order by l.locked_at
 limit $3::integer;

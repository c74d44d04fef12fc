-- Removes and returns commands that have waited for an entity too long.
-- Params: most integer
-- Returns: entity text, control jsonb
-- Locks: the commands
-- Index: saga_stash_expires
delete from :schema.saga_stash s
 where s.id in (select e.id from :schema.saga_stash e where e.expires_at <= (select clock_timestamp())
                 order by e.expires_at limit $1::integer for update skip locked)
returning s.entity, s.control::text as control;

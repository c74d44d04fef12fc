-- Releases what a saga holds: one entity, those of one of its branches, or all; returns the commands that waited.
-- Params: sagaId uuid, branch text?, entity text?
-- Returns: topic text, key text?, headers jsonb, control jsonb, payload bytea?
-- Locks: the entities, and the commands
-- Index: saga_lock_saga, saga_stash_entity
select r.topic, r.message_key as key, r.headers, r.control, r.payload from :schema.saga_release($1, $2, $3) r;

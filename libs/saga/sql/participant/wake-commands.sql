-- Removes and returns commands that wait for an entity that is no longer held.
-- Params: most integer
-- Returns: topic text, key text?, headers jsonb, control jsonb, payload bytea?
-- Locks: the commands
-- Index: saga_lock_pkey
select w.topic, w.message_key as key, w.headers, w.control, w.payload from :schema.saga_wake($1) w;

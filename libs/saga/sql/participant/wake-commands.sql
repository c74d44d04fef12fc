-- Takes commands away that wait for an entity which nothing holds any more.
-- Params: most integer
-- Returns: topic text, key text?, headers jsonb, control jsonb, payload bytea?
-- Locks: the commands
-- Index: saga_lock_pkey
select w.topic, w.message_key as key, w.headers, w.control, w.payload from :schema.saga_wake($1) w;

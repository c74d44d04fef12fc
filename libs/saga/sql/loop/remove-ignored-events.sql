-- Removes old events that arrived for sagas without an effect.
-- Params: olderThanMs bigint
-- Returns: none
-- Index: saga_ignored_at
delete from :schema.saga_ignored i
 where i.ignored_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond';

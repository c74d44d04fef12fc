-- Removes bulk orders that have made no progress for a number of milliseconds.
-- Params: olderThanMs bigint
-- Returns: none
-- Index: saga_bulk_moved
delete from :schema.saga_bulk b
 where b.moved_at < (select clock_timestamp()) - $1::bigint::double precision * interval '1 millisecond';

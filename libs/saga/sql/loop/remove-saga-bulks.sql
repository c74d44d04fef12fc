-- Forgets orders to many sagas that nothing was done for in so many milliseconds.
-- Params: olderThanMs bigint
-- Returns: none
-- Index: saga_bulk_moved
delete from :schema.saga_bulk b
 where b.moved_at < (select clock_timestamp()) - $1::bigint::double precision * interval '1 millisecond';

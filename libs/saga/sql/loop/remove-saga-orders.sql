-- Removes orders that were settled long ago.
-- Params: olderThanMs bigint
-- Returns: none
delete from :schema.saga_order o
 where o.settled_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond';

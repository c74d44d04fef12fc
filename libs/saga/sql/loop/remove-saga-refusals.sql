-- Removes records of refusals that are past their retention.
-- Params: olderThanMs bigint
-- Returns: none
delete from :schema.saga_refusal r
 where r.refused_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond';

-- Forgets refusals that are past their time.
-- Params: olderThanMs bigint
-- Returns: none
delete from :schema.saga_refusal r
 where r.refused_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond';

-- The saga of a type and key, running or ended.
-- Params: type text, key text
-- Returns: id uuid
-- Index: saga_key, saga_ended_key
select s.id from :schema.saga s where s.saga_type = $1::text and s.saga_key = $2::text
union all
select e.id from :schema.saga_ended e where e.saga_type = $1::text and e.saga_key = $2::text
limit 1;

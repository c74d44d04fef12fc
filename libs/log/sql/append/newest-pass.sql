-- The newest pass of a service that the log holds; no row for a service that it does not know.
-- Params: serviceId uuid
-- Returns: n bigint, token text, appendedAgeMs bigint
-- Index: log_source_n, backwards
select l.n, l.token::text as token,
       floor(extract(epoch from clock_timestamp() - l.appended_at) * 1000.0)::bigint as "appendedAgeMs"
  from :bus.source s
  join :bus.log_source l on l.source_id = s.id
 where s.service_id = $1::uuid
 order by l.n desc
 limit 1;

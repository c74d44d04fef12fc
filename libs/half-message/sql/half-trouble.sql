-- Problems of half messages: how long the oldest undecided one has been prepared, the number of those with failing
-- checks (up to 100,000), for how long, and the last failure of these or of undecided ones.
-- Params: none
-- Returns: oldestUndecidedAgeMs bigint?, failing integer, oldestFailingMs bigint?, lastFailure text?
-- Index: half_message_undecided, half_message_failing
select (select floor(extract(epoch from clock_timestamp() - u.prepared_at) * 1000.0)::bigint
          from :schema.half_message u where u.state = 4 order by u.id limit 1) as "oldestUndecidedAgeMs",
       (select count(*) from (select from :schema.half_message f where f.failing_since is not null and f.state = 1
                               limit 100000) f)::integer as failing,
       (select floor(extract(epoch from clock_timestamp() - f.failing_since) * 1000.0)::bigint
          from :schema.half_message f where f.failing_since is not null and f.state = 1
         order by f.failing_since limit 1) as "oldestFailingMs",
       (select f.last_failure from :schema.half_message f where f.failing_since is not null
         order by f.failing_since desc limit 1) as "lastFailure";

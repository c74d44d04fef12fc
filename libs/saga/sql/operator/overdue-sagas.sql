-- Sagas that were due some time ago and that no process has continued (counted up to 100,000), and how long the most
-- overdue has waited.
-- Params: overdueMs bigint
-- Returns: overdue integer, oldestOverdueMs bigint?
-- Index: saga_wake
select count(*)::integer as overdue,
       floor(extract(epoch from clock_timestamp() - min(s.wake_at)) * 1000.0)::bigint as "oldestOverdueMs"
  from (select u.wake_at from :schema.saga u
         where u.wake_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
         limit 100000) s;

-- Half messages whose check-back was due some time ago and that no checker has claimed (counted up to 100,000), and how long
-- the most overdue has waited for it.
-- Params: overdueMs bigint
-- Returns: overdue integer, oldestOverdueMs bigint?
-- Index: half_message_due
select count(*)::integer as overdue,
       floor(extract(epoch from clock_timestamp() - min(h.next_check_at)) * 1000.0)::bigint as "oldestOverdueMs"
  from (select o.next_check_at from :schema.half_message o
         where o.state = 1 and o.next_check_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
         limit 100000) h;

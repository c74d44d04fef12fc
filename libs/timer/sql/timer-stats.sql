-- Counts of pending timers, each up to 100,000.
-- Params: overdueMs bigint
-- Returns: pending integer, due integer, overdue integer, oldestOverdueMs bigint, far integer, recurring integer
-- Index: timer_due
select (select count(*) from (select from :schema.timer limit 100000) p)::integer as pending,
       (select count(*) from (select from :schema.timer t where t.due_at <= n.now_at limit 100000) d)::integer as due,
       (select count(*) from (select from :schema.timer t
                               where t.due_at < n.now_at - $1::bigint::double precision * interval '1 millisecond'
                               limit 100000) o)::integer as overdue,
       coalesce((select greatest(0, :schema.timer_ms(n.now_at) - :schema.timer_ms(min(t.due_at)))
                   from :schema.timer t), 0)::bigint as "oldestOverdueMs",
       (select count(*) from (select from :schema.timer t where t.slot = 8 limit 100000) f)::integer as far,
       (select count(*) from :schema.recurring_message)::integer as recurring
  from (select clock_timestamp() as now_at offset 0) n;

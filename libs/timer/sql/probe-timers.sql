-- The current time, and the due time of the next timer that is not due before low.
-- Params: lowMs bigint, kinds smallint[]
-- Returns: nowMs bigint, nextMs bigint?
-- Index: timer_due
select p.now_ms as "nowMs", p.next_ms as "nextMs"
  from :schema.timer_probe(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2) p;

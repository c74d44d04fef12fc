-- Counts the encrypted rows of a subject.
-- Params: subjectHash bytea, hashText text
-- Returns: deadLetters bigint, parked bigint, timers bigint, halves bigint, outbox bigint, quarantined bigint, sagas bigint
select (select count(*) from :schema.dead_letter d where position($1::bytea in d.payload) > 0) as "deadLetters",
       (select count(*) from :schema.parked_message m where position($1::bytea in m.payload) > 0) as parked,
       (select count(*) from :schema.timer t where position($1::bytea in t.payload) > 0) as timers,
       (select count(*) from :schema.half_message h
         where exists (select from unnest(h.payloads) as p (payload) where position($1::bytea in p.payload) > 0)) as halves,
       (select count(*) from :schema.outbox o where position($1::bytea in o.payload) > 0) as outbox,
       (select count(*) from :schema.outbox_quarantine q where position($1::bytea in q.payload) > 0) as quarantined,
       (select count(*) from :schema.saga s where s.content->>'subject'::text = $2)
         + (select count(*) from :schema.saga_ended e where e.content->>'subject'::text = $2) as sagas;

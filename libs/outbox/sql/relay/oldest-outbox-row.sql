-- How long ago the oldest message that the outbox still holds was published, moved or not; no row if it is empty.
-- Params: none
-- Returns: ageMs bigint
-- Index: outbox_order
select floor(extract(epoch from clock_timestamp() - o.created_at) * 1000.0)::bigint as "ageMs"
  from :schema.outbox o
 order by o.id
 limit 1;

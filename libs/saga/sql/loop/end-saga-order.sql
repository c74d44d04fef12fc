-- Stores the outcome of an order.
-- Params: id bigint, outcome text, why text?
-- Returns: none
-- Index: saga_order_pkey
update :schema.saga_order o set outcome = $2::text, why = $3::text, settled_at = clock_timestamp()
 where o.id = $1::bigint and o.outcome is null;

-- Cancels a running bulk order; false if there is none.
-- Params: id bigint, statedBy text, reason text?
-- Returns: cancelled boolean
-- Index: saga_bulk_pkey
select :schema.saga_bulk_cancel($1::bigint, $2::text, $3::text) as cancelled;

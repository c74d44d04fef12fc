-- One step of a bulk order; see the function.
-- Params: id bigint, after uuid, sagaIds uuid[], revisions bigint[], steps text[], cursor uuid, isLast boolean
-- Returns: none
-- Locks: the bulk order
-- Index: saga_bulk_pkey, saga_pkey
select from :schema.saga_bulk_step($1::bigint, $2::uuid, $3::uuid[], $4::bigint[], $5::text[], $6::uuid, $7::boolean);

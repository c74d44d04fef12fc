-- Starts a bulk order; see the function.
-- Params: event jsonb, filter jsonb, statedBy text, reason text?, perSecond integer, upTo uuid, total bigint
-- Returns: id bigint
select :schema.saga_bulk_begin($1::jsonb, $2::jsonb, $3::text, $4::text, $5::integer, $6::uuid, $7::bigint) as id;

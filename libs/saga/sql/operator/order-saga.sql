-- Gives an operator's order to a saga; see the function.
-- Params: sagaId uuid, order jsonb, revision bigint, statedBy text, reason text?
-- Returns: id bigint
select :schema.order_saga($1::uuid, $2::jsonb, $3::bigint, $4::text, $5::text) as id;

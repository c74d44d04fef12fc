-- Writes a saga's attributes, in the transition that changes it; see the function.
-- Params: sagaId uuid, replyTopic text, attributes jsonb
-- Returns: none
-- Index: saga_attribute_pkey
select from :schema.saga_attributes_save($1::uuid, $2::text, $3::json);

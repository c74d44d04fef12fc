-- The attributes of a saga.
-- Params: sagaId uuid
-- Returns: name text, kind text, value text
-- Index: saga_attribute_pkey
select a.name, a.kind, a.value
  from :schema.saga_attribute a
 where a.slot = :schema.saga_slot($1::uuid) and a.saga_id = $1::uuid
 order by a.name;

-- Locks an entity for a saga; false if another saga holds it.
-- Params: entity text, sagaId uuid, branch text
-- Returns: held boolean
-- Locks: the entity
select :schema.saga_hold($1, $2, $3) as held;

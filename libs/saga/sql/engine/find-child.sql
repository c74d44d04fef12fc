-- The child of a step.
-- Params: parentId uuid, step text
-- Returns: id uuid
-- Index: saga_child
select s.id from :schema.saga s where s.parent_id = $1::uuid and s.parent_step = $2::text;

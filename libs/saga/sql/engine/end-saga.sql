-- Writes the last transition of a saga and moves it to the ended ones; fails if another transition came first, which
-- its lock prevents.
-- Params: id uuid, fromRevision bigint, state integer, reason text?, content jsonb, transition jsonb
-- Returns: none
-- Locks: the saga and its children
-- Index: saga_pkey, saga_child
select from :schema.saga_end($1, $2, $3::smallint, $4, $5::json, $6::json);

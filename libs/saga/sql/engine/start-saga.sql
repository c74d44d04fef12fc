-- Starts a saga unless its type and key exist: then returns the existing saga's id.
-- Params: id uuid, type text, version integer, key text, replyTopic text, state integer, wakeMs bigint?, parentId uuid?,
--   parentStep text?, reason text?, fingerprint text,
--   content jsonb, transition jsonb
-- Returns: id uuid, created boolean, startedAtMs bigint
-- Locks: the new row, and its key
-- Index: saga_key, saga_ended_key
select s.id, s.created, (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs"
  from :schema.saga_start($1, $2, $3, $4, $5, $6::smallint, $7, $8, $9, $10, $11, $12::json, $13::json) s;

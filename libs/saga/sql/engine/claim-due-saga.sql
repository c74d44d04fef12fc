-- Reads a due saga for a transition; a saga that another process works on is skipped.
-- Params: replyTopic text
-- Returns: id uuid, type text, version integer, key text, state integer, revision bigint, parentId uuid?,
--   parentStep text?, reason text?, content jsonb, nowMs bigint,
--   startedAtMs bigint, fingerprint text?
-- Locks: the saga, until the transaction ends
-- Index: saga_wake
select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key, s.state::integer as state,
       s.revision, s.parent_id as "parentId", s.parent_step as "parentStep", s.reason, s.content::text as content,
       floor(extract(epoch from clock_timestamp() - s.started_at) * 1000.0)::bigint as "nowMs",
       (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs", s.fingerprint
  from :schema.saga s
 where s.reply_topic = $1::text and s.wake_at <= (select clock_timestamp())
 order by s.wake_at
 limit 1
   for update skip locked;

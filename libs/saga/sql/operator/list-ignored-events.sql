-- Events that arrived for sagas without an effect, the newest first; of one saga if it is given.
-- Params: sagaId uuid?, limit integer
-- Returns: ignoredAt timestamptz, replyTopic text, sagaId uuid?, kind text, name text?, why text, content jsonb
-- Index: saga_ignored_saga, saga_ignored_pkey
select i.ignored_at as "ignoredAt", i.reply_topic as "replyTopic", i.saga_id as "sagaId", i.kind, i.name, i.why,
       i.content::text as content
  from :schema.saga_ignored i
 where $1::uuid is null or i.saga_id = $1::uuid
 order by i.id desc
 limit $2::integer;

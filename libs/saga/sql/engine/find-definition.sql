-- Definitions of a type and version in processes of a service, the newest first.
-- Params: replyTopic text, type text, version integer
-- Returns: fingerprint text, shape jsonb, signals text[]
-- Index: saga_definition_pkey
select d.fingerprint, d.shape::text as shape, d.signals
  from :schema.saga_definition d
 where d.reply_topic = $1::text and d.saga_type = $2::text and d.definition_version = $3::integer
 order by d.seen_at desc;

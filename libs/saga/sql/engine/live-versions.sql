-- The definitions of running sagas and of their completed children, with their shapes; and how many milliseconds ago
-- any process had a definition of that type and version.
-- Params: replyTopic text
-- Returns: type text, version integer, fingerprint text?, sagas bigint, shape jsonb?, seenMs bigint?
select s.saga_type as type, s.definition_version as version, s.fingerprint, count(*)::bigint as sagas,
       (select d.shape::text from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type and d.definition_version = s.definition_version
           and d.fingerprint = s.fingerprint) as shape,
       (select floor(extract(epoch from clock_timestamp() - max(d.seen_at)) * 1000.0) from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type
           and d.definition_version = s.definition_version)::bigint as "seenMs"
  from :schema.saga s
 where s.reply_topic = $1::text
 group by s.saga_type, s.definition_version, s.fingerprint
 order by 1, 2, 3;

-- Of each version that running sagas have: how many there are, and how many milliseconds ago any process had a
-- definition of it. For health checks, whose login may read little.
-- Params: replyTopic text
-- Returns: type text, version integer, sagas bigint, seenMs bigint?
select s.saga_type as type, s.definition_version as version, count(*)::bigint as sagas,
       (select floor(extract(epoch from clock_timestamp() - max(d.seen_at)) * 1000.0) from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type
           and d.definition_version = s.definition_version)::bigint as "seenMs"
  from :schema.saga s
 where s.reply_topic = $1::text
 group by s.saga_type, s.definition_version
 order by 1, 2;

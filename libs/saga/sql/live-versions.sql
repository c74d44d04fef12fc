-- The versions of definitions that sagas under way keep to.
-- Params: replyTopic text
-- Returns: type text, version integer, sagas bigint
select s.saga_type as type, s.definition_version as version, count(*)::bigint as sagas
  from :schema.saga s
 where s.reply_topic = $1::text and s.state <= 3
 group by 1, 2
 order by 1, 2;

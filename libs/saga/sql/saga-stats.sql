-- How sagas under way stand: how many in each state, and for how long the oldest.
-- Params: replyTopic text?
-- Returns: state integer, sagas bigint, oldestMs bigint
select s.state::integer as state, count(*)::bigint as sagas,
       floor(extract(epoch from clock_timestamp() - min(s.started_at)) * 1000.0)::bigint as "oldestMs"
  from :schema.saga s
 where ($1::text is null or s.reply_topic = $1) and s.state <= 3
 group by s.state;

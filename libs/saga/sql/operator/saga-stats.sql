-- Running sagas by state: their number, up to 100,000, and the age of the oldest.
-- Params: replyTopic text?
-- Returns: state integer, sagas bigint, oldestMs bigint
-- Index: saga_pkey, saga_stuck
select s.state::integer as state, count(*)::bigint as sagas,
       floor(extract(epoch from clock_timestamp() - min(s.started_at)) * 1000.0)::bigint as "oldestMs"
  from (select * from (select u.state, u.started_at from :schema.saga u
                        where ($1::text is null or u.reply_topic = $1) and u.state < 3
                        order by u.id limit 100000) under_way
         union all
        select * from (select t.state, t.started_at from :schema.saga t
                        where ($1::text is null or t.reply_topic = $1) and t.state = 3
                        order by t.id limit 100000) stuck) s
 group by s.state;

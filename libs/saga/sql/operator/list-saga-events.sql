-- Events that no saga waits for yet, and steps that wait for an event: the oldest first.
-- Params: replyTopic text?, limit integer
-- Returns: kind text, replyTopic text, waiter text, match text, sagaId uuid?, since timestamptz, until timestamptz?, failures integer
select w.kind, w.reply_topic as "replyTopic", w.waiter, w.match, w.saga_id as "sagaId", w.since, w.until, w.failures
  from ((select 'event'::text as kind, e.reply_topic, e.waiter, e.match, null::uuid as saga_id, e.arrived_at as since,
               e.expires_at as until, e.failures
          from :schema.saga_event e
         where $1::text is null or e.reply_topic = $1::text
         order by e.arrived_at limit $2::integer)
        union all
        (select 'step'::text, s.reply_topic, s.waiter, s.match, s.saga_id, s.since, null::timestamptz, 0
           from :schema.saga_event_wait s
          where $1::text is null or s.reply_topic = $1::text
          order by s.since limit $2::integer)) w
 order by w.since
 limit $2::integer;

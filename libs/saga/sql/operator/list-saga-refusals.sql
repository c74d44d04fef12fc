-- Refused messages to sagas, the newest first; of one service if its topic is given.
-- Params: replyTopic text?, limit integer
-- Returns: refusedAt timestamptz, replyTopic text, sagaId text?, step text?, why text, messageId text?, partition integer,
--   offset bigint
select r.refused_at as "refusedAt", r.reply_topic as "replyTopic", r.saga_id as "sagaId", r.step, r.why,
       r.message_id as "messageId", r.partition_number as partition, r.log_offset as "offset"
  from :schema.saga_refusal r
 where $1::text is null or r.reply_topic = $1::text
 order by r.id desc
 limit $2::integer;

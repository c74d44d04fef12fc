-- The oldest open order to a service's sagas after an id; an order that another process works on is skipped.
-- Params: replyTopic text, afterId bigint
-- Returns: id bigint, sagaId uuid, order jsonb, revision bigint, actor text, statedBy text, reason text?
-- Locks: the order, until the transaction ends
-- Index: saga_order_open
select o.id, o.saga_id as "sagaId", o.event::text as "order", o.revision, o.actor, o.stated_by as "statedBy", o.reason
  from :schema.saga_order o
 where o.reply_topic = $1::text and o.outcome is null and o.id > $2::bigint
 order by o.id
 limit 1
   for update skip locked;

-- The orders to a saga, the newest first.
-- Params: sagaId uuid
-- Returns: id bigint, orderedAt timestamptz, order jsonb, revision bigint, actor text, statedBy text, reason text?,
--   outcome text?, why text?
-- Index: saga_order_saga
select o.id, o.ordered_at as "orderedAt", o.event::text as "order", o.revision, o.actor, o.stated_by as "statedBy",
       o.reason, o.outcome, o.why
  from :schema.saga_order o
 where o.saga_id = $1::uuid
 order by o.id desc
 limit 100;

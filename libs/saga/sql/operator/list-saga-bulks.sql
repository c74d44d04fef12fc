-- Bulk orders, the newest first, or one of them; waiting: orders that their services have not carried out.
-- Params: id bigint?, most integer
-- Returns: id bigint, event jsonb, filter jsonb, actor text, by text, reason text?, perSecond integer, upTo uuid, cursor uuid,
--   total bigint, ordered bigint, skipped bigint, state text, startedAt timestamptz, waiting bigint, refused bigint
-- Index: saga_bulk_pkey, saga_order_bulk
select b.id, b.event::text as event, b.filter::text as filter, b.actor, b.stated_by as "by", b.reason,
       b.per_second as "perSecond", b.up_to_id as "upTo", b.cursor_id as cursor, b.total, b.ordered, b.skipped, b.state,
       b.started_at as "startedAt",
       (select count(*) from :schema.saga_order o where o.bulk_id = b.id and o.outcome is null) as waiting,
       (select count(*) from :schema.saga_order o where o.bulk_id = b.id and o.outcome = 'refused'::text) as refused
  from :schema.saga_bulk b
 where $1::bigint is null or b.id = $1::bigint
 order by b.id desc
 limit $2::integer;

-- The newest redrives.
-- Params: limit integer
-- Returns: id bigint, actor text, by text, perSecond integer, total bigint, redriven bigint, state text, startedAt timestamptz
select r.id, r.actor, r.stated_by as "by", r.per_second as "perSecond", r.total, r.redriven, r.state, r.started_at as "startedAt"
  from :schema.redrive r
 order by r.id desc
 limit $1;

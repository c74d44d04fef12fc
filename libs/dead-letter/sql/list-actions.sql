-- Operators' actions on a target, newest first; on all targets of its kind if none is given. Filtered by the stated
-- name, if one is given.
-- Params: targetKind text, target text?, limit integer
-- Returns: id bigint, actedAt timestamptz, actor text, by text, action text, target text, reason text?, details text
-- Index: operator_action_target
select a.id, a.acted_at as "actedAt", a.actor, a.stated_by as "by", a.action, a.target, a.reason, a.details::text as details
  from :schema.operator_action a
 where a.target_kind = $1 and ($2::text is null or a.target = $2)
 order by a.id desc
 limit $3;

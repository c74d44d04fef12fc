-- Begins a redrive of the dead letters that currently match a filter.
-- Params: filter jsonb, statedBy text, perSecond integer
-- Returns: id bigint, total bigint
insert into :schema.redrive (filter, stated_by, per_second, up_to_id, total)
select $1::jsonb, $2, $3, coalesce(max(i.id), 0), count(*)
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
returning id, total;

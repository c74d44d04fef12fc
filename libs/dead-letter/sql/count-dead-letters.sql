-- Counts the dead letters that match a filter, and returns the id of the last.
-- Params: filter jsonb
-- Returns: count bigint, lastId bigint
select count(*) as count, coalesce(max(i.id), 0) as "lastId"
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id);

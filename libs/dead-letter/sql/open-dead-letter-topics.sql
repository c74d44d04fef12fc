-- Groups and topics of the dead letters that match a filter.
-- Params: filter text
-- Returns: group text, topic text
select distinct g.name as "group", d.topic
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 order by 1, 2;

-- Groups and topics of open dead letters that match a filter, where no live process handles the topic.
-- Params: filter text
-- Returns: group text, topic text
select distinct g.name as "group", d.topic
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 where not exists (select from :schema.group_member m
                    where m.group_id = d.group_id and m.lease_until > clock_timestamp() and d.topic = any (m.topics))
 order by 1, 2;

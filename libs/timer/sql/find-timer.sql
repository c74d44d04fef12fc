-- A scheduled message by its id.
-- Params: messageId uuid
-- Returns: id text, topic text, partition integer?, key text?, token text?, dueAt timestamptz, createdAt timestamptz
-- Index: timer_message
select t.message_id::text as id, t.topic, t.partition_number as partition, t.key, t.token, t.due_at as "dueAt",
       t.created_at as "createdAt"
  from :schema.timer t
 where t.message_id = $1::uuid and t.kind = 1
 order by t.due_at
 limit 1;

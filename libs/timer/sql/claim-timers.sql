-- Claims due timers, in no particular order: deletes and returns them.
-- Params: lowMs bigint, kinds smallint[], limit integer, leaseMs integer
-- Returns: nowMs bigint, dueMs bigint, id bigint, kind smallint, messageId text?, token text?, topic text?,
--   partition integer?, key text?, headers text?, payload bytea?
-- Locks: the drainer's advisory lock (waited for at most 50 ms, 55P03), and the rows
-- Index: timer_due
select c.now_ms as "nowMs", c.due_ms as "dueMs", c.id, c.kind, c.message_id::text as "messageId", c.token, c.topic,
       c.partition_number as partition, c.key, c.headers, c.payload
  from :schema.timer_claim(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2, $3, $4) c;

-- Removes an event that no saga has claimed in time; no row if there is none, or another process has it.
-- Params: replyTopic text
-- Returns: id bigint, topic text, waiter text, match text, arrivedAt timestamptz, failures integer, content jsonb
-- Locks: the waiter and the matching event
-- Index: saga_event_expires
select e.id, e.topic, e.waiter, e.match, e.arrived_at as "arrivedAt", e.failures, e.content
  from :schema.saga_expire_event($1) e;

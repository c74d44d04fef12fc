-- The step that waits for an event that has arrived; without one, the event is kept for a number of milliseconds.
-- Params: replyTopic text, topic text, waiter text, match text, keepMs bigint, content jsonb
-- Returns: sagaId uuid, step text
-- Locks: the waiter and the matching event
-- Index: saga_event_wait_match
select t.saga_id as "sagaId", t.step from :schema.saga_take_event($1, $2, $3, $4, $5, $6::json) t;

-- The step that waits for an event that has come; where none does, the event is kept for so many milliseconds.
-- Params: replyTopic text, topic text, waiter text, match text, keepMs bigint, content jsonb
-- Returns: sagaId uuid, step text
-- Locks: the waiter and what is to be matched
-- Index: saga_event_wait_match
select t.saga_id as "sagaId", t.step from :schema.saga_take_event($1, $2, $3, $4, $5, $6::json) t;

-- Lets a step wait for an event; if the event has already arrived, returns its content instead.
-- Params: sagaId uuid, step text, replyTopic text, waiter text, match text
-- Returns: content jsonb?
-- Locks: the waiter and the matching event
-- Index: saga_event_match, saga_event_wait_pkey
select :schema.saga_await_event($1, $2, $3, $4, $5) as content;

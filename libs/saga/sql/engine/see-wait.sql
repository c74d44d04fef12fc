-- Marks a wait that began in a transaction with a fixed snapshot, so that it is checked now.
-- Params: replyTopic text
-- Returns: sagaId uuid, step text, waiter text, match text
-- Locks: the wait
-- Index: saga_event_wait_unseen
update :schema.saga_event_wait w set unseen = false
 where (w.saga_id, w.step) = (select f.saga_id, f.step from :schema.saga_event_wait f
                               where f.reply_topic = $1::text and f.unseen limit 1 for update skip locked)
returning w.saga_id as "sagaId", w.step, w.waiter, w.match;

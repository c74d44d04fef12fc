-- Comes to a message's id before its work, and says whether the work is still to be done; outcome: new, duplicate, busy,
-- outside. Raises WB009 unless the transaction is READ COMMITTED.
-- Params: consumer text, messageId text, judgedMs bigint?, windowMs bigint, slackMs bigint, waitMs integer
-- Returns: outcome text, result text?, nowMs bigint
-- Locks: the id, until the transaction ends; waits at most so many milliseconds
-- Index: idempotent_message_id
select e.outcome, e.result, e.now_ms as "nowMs" from :schema.message_enter($1, $2, $3, $4, $5, $6) e;

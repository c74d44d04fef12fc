-- Enters a message's id before its work, and returns whether the work must be done; outcome: new, duplicate, busy,
-- outside. Raises WB009 unless the transaction is READ COMMITTED.
-- Params: consumer text, messageId text, judgedMs bigint?, windowMs bigint, slackMs bigint, waitMs integer
-- Returns: outcome text, result text?, nowMs bigint
-- Locks: the id, until the transaction ends; waits at most waitMs milliseconds
-- Index: idempotent_message_id
select e.outcome, e.result, e.now_ms as "nowMs" from :schema.message_enter($1, $2, $3, $4, $5, $6) e;

-- Writes the HTTP calls of a transition, and voids those that it has given up; see the function.
-- Params: sagaId uuid, replyTopic text, calls jsonb, underWay jsonb
-- Returns: none
-- Locks: the calls of the saga
-- Index: saga_call_pkey
select from :schema.saga_calls_save($1::uuid, $2::text, $3::json, $4::json);

-- Stores an event that arrived for a saga without an effect.
-- Params: replyTopic text, sagaId uuid?, kind text, name text?, why text, content jsonb
-- Returns: none
insert into :schema.saga_ignored (reply_topic, saga_id, kind, name, why, content)
values ($1::text, $2::uuid, $3::text, $4::text, $5::text, $6::json);

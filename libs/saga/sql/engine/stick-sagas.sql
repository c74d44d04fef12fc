-- Makes the running sagas of one shape of a definition stuck, for operators to decide.
-- Params: replyTopic text, type text, version integer, fingerprint text, reason text
-- Returns: none
-- Locks: those sagas
update :schema.saga s set state = 3, reason = $5::text, changed_at = clock_timestamp()
 where s.reply_topic = $1::text and s.saga_type = $2::text and s.definition_version = $3::integer
   and s.fingerprint = $4::text and s.state < 3;

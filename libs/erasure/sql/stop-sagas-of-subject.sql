-- Marks the sagas of an erased subject as stuck: they can no longer be read.
-- Params: subjectHash text
-- Returns: none
update :schema.saga s set state = 3::smallint, reason = 'its subject was erased', wake_at = null, changed_at = clock_timestamp()
 where s.state <= 3 and s.content->>'subject'::text = $1;

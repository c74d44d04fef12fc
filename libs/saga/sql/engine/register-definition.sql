-- Records that a process of a service has a definition.
-- Params: replyTopic text, type text, version integer, fingerprint text, shape jsonb, signals text[]
-- Returns: none
insert into :schema.saga_definition as d (reply_topic, saga_type, definition_version, fingerprint, shape, signals)
values ($1::text, $2::text, $3::integer, $4::text, $5::json, $6::text[])
on conflict (reply_topic, saga_type, definition_version, fingerprint) do update set seen_at = clock_timestamp();

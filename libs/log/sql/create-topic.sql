-- Creates a topic and its partitions; an existing topic is left unchanged. Tells those who listen.
-- Params: name text, partitions integer, retentionMs bigint, onDeadLetter text, onExpired text,
--   backlogMaxMessages bigint?, backlogMaxBytes bigint?, channel text
-- Returns: none
-- Locks: the new rows
select from :bus.topic_create($1, $2, $3, $4, $5, $6, $7), pg_notify($8, 'topics');

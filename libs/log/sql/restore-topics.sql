-- Creates topics again under their ids; partitions are in order of topics and numbers. Existing topics are left unchanged.
-- Params: topicIds integer[], names text[], partitionCounts integer[], retentions bigint[], onDeadLetter text[],
--   onExpired text[], backlogMaxMessages bigint[], backlogMaxBytes bigint[], partitionIds integer[]
-- Returns: none
-- Locks: advisory, until the transaction ends; the new rows
select from :bus.topic_restore($1, $2, $3, $4, $5, $6, $7, $8, $9);

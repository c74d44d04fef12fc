-- Stores in the service's database what the bus says of topics; partitions are in order of topics and numbers.
-- Params: topicIds integer[], names text[], partitionCounts integer[], retentions bigint[], onDeadLetter text[],
--   onExpired text[], backlogMaxMessages bigint[], backlogMaxBytes bigint[], partitionIds integer[]
-- Returns: none
-- Locks: advisory, until the transaction ends; the rows of topics that change
select :schema.topic_learn($1, $2, $3, $4, $5, $6, $7, $8, $9);

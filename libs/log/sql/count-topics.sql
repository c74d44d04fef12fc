-- Counts topics. They are never removed: an unchanged count means no new topic.
-- Params: none
-- Returns: count bigint
-- Index: the whole of a small table
select count(*) as count from :bus.topic;

-- How many topics there are. They are never removed: where there are as many as before, there is no new one.
-- Params: none
-- Returns: count bigint
-- Index: the whole of a small table
select count(*) as count from :schema.topic;

-- Compares what waits in the outbox with the limits of topics. Returns the topics for which it has changed whether they may
-- have more.
-- Params: intervalMs integer
-- Returns: topic text, full text?
-- Locks: advisory (tried, not waited for), and the rows of topics that change
select m.of_topic as topic, m.full_text as "full" from :schema.outbox_measure($1) m;

-- Compares the messages waiting in the outbox with the topics' limits. Returns the topics that have begun or stopped
-- refusing messages.
-- Params: intervalMs integer
-- Returns: topic text, full text?
-- Locks: advisory (tried, not waited for), and the rows of topics that change
select m.of_topic as topic, m.full_text as "full" from :schema.outbox_measure($1) m;

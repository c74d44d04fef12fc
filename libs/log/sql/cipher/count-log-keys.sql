-- The number of keys of a subject in the log.
-- Params: subjectHash bytea
-- Returns: keys integer
-- Index: subject_key_subject
select :bus.count_subject_keys($1) as keys;

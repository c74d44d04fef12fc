-- Destroys the keys of a subject in the log, for good.
-- Params: subjectHash bytea
-- Returns: destroyed integer
-- Locks: waits for transactions that store keys in the log, and they for it
select :bus.destroy_subject_keys($1) as destroyed;

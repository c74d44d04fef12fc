-- Destroys the keys of a subject, for good.
-- Params: subjectHash bytea
-- Returns: destroyed integer
-- Locks: waits for transactions that store something for the subject, and they for it
select :schema.destroy_subject_keys($1) as destroyed;

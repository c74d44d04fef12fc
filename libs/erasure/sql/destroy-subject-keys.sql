-- Destroys the keys of a subject, for good.
-- Params: subjectHash bytea
-- Returns: destroyed integer
-- Locks: transactions that keep something for the subject, and those wait for it
select :schema.destroy_subject_keys($1) as destroyed;

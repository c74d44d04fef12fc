-- The same of the log.
-- Params: keyId uuid, subjectHash bytea
-- Returns: wrapped bytea?, erased boolean
-- Index: subject_key_id, erased_subject_pkey
select k.wrapped, k.erased from :bus.read_subject_key($1::uuid, $2) k;

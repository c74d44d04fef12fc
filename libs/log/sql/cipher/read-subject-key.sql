-- A key of a subject of the service, wrapped, and whether the subject was erased.
-- Params: keyId uuid, subjectHash bytea
-- Returns: wrapped bytea?, erased boolean
-- Index: subject_key_id, erased_subject_pkey
select k.wrapped, k.erased from :schema.read_subject_key($1::uuid, $2) k;

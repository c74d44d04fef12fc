-- A key of a subject, wrapped, and whether the subject was erased.
-- Params: keyId uuid, subjectHash bytea
-- Returns: wrapped bytea?, erased boolean
-- Index: subject_key_id, erased_subject_pkey
select (select k.wrapped_key from :schema.subject_key k where k.id = $1 limit 1) as wrapped,
       exists (select from :schema.erased_subject e where e.subject_hash = $2) as erased;

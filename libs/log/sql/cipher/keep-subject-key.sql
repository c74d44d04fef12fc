-- Keeps a key of a subject, in the transaction of what is encrypted with it. Raises WB011 for a subject that was erased.
-- Params: subjectHash bytea, keyId uuid, wrapped bytea
-- Returns: none
-- Locks: an erasure of the subject waits
select :schema.keep_subject_key($1, $2, $3);

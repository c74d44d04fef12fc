-- Stores a key of a subject, in the transaction of the data encrypted with it. Raises WB011 if the subject was erased.
-- Params: subjectHash bytea, keyId uuid, wrapped bytea
-- Returns: none
-- Locks: an erasure of the subject waits for it
select :schema.keep_subject_key($1, $2, $3);

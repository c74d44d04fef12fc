-- Keys of the service, wrapped, by their ids; those that it does not have are left out.
-- Params: keyIds uuid[]
-- Returns: id text, subjectHash bytea, wrapped bytea
-- Index: subject_key_id
select k.id::text as id, k.subject_hash as "subjectHash", k.wrapped_key as wrapped from :schema.subject_keys_of($1::uuid[]) k;

-- Stores keys of the service in the log, which is in the same database. Those of erased subjects are left out.
-- Params: keyIds uuid[]
-- Returns: none
-- Locks: an erasure in the log waits for it
select :bus.keep_subject_keys(array_agg(k.subject_hash), array_agg(k.id), array_agg(k.wrapped_key))::text
  from :schema.subject_keys_of($1::uuid[]) k having count(*) > 0;

-- Goes back to the version of a pass that the log holds, in the transaction that has begun a pass.
-- Params: n bigint, token uuid, newestN bigint, newestToken uuid
-- Returns: none
select :schema.relay_restore_version($1, $2::uuid, $3, $4::uuid)::text;

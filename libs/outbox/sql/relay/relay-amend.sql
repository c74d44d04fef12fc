-- Makes passes again, the first of them without the rows that the log refuses, in the transaction that has begun a pass.
-- Params: firstN bigint, newestN bigint, newestToken uuid, refused bigint[]
-- Returns: none
select :schema.relay_amend($1, $2, $3::uuid, $4)::text;

-- Takes the rejection of an operation back.
-- Params: gid text, branch text, op text
-- Returns: none
-- Locks: its row
-- Index: barrier_pkey
delete from :schema.barrier b
 where b.slot = :schema.barrier_slot_at(:schema.uuid_ms($1::uuid)) and b.gid = $1::uuid and b.branch = $2::text
   and b.op = $3::text and b.reason = 'rejected';

-- Notes that an operation was rejected, after its own row was rolled back; where what takes it back was here in between,
-- that stays.
-- Params: gid text, branch text, op text, retentionMs bigint
-- Returns: none
-- Locks: the new row, until the transaction ends
-- Index: barrier_pkey
insert into :schema.barrier (slot, gid, branch, op, reason)
values (:schema.barrier_slot($1::text, $4::bigint), $1::uuid, $2::text, $3::text, 'rejected')
on conflict do nothing;

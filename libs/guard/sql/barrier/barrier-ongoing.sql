-- Records that an operation which has passed in this transaction continues after it; reason: ongoing, or
-- ongoing-effect.
-- Params: gid text, branch text, op text, begunMs bigint, reason text
-- Returns: none
-- Locks: its row
-- Index: barrier_pkey
select from :schema.barrier_ongoing($1, $2, $3, $4::bigint, $5);

-- Makes a half message due for a check at once, with its count at zero and no deadline.
-- Params: id uuid
-- Returns: id uuid
-- Index: half_message_pkey
update :schema.half_message h
   set state = 1, checks = 0, unanswered = 0, deadline_at = null, next_check_at = clock_timestamp(),
       lease_epoch = h.lease_epoch + 1, claimed_by = null, failing_since = null, last_failure = null
 where h.id = $1
returning h.id;

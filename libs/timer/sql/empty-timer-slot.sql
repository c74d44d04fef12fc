-- Empties the near slot whose hour has passed, if it has no timers.
-- Params: none
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.timer_empty_slot() as emptied;

-- Empties the near slot whose hour is past, when all its timers have gone.
-- Params: none
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.timer_empty_slot() as emptied;

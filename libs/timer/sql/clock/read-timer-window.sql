-- The intervals of slotMs milliseconds, numbered by their ends, in which timers are due.
-- Params: fromMs bigint, untilMs bigint, slotMs integer
-- Returns: busy boolean, slots bigint[]?
-- Locks: the loader's advisory lock, tried and not waited for
-- Index: timer_due
select w.busy, w.due_slots as slots from :schema.timer_window($1, $2, $3) w;

-- Moves far timers that have become near into their near slots.
-- Params: limit integer
-- Returns: moved integer
-- Index: timer_due
select :schema.timer_promote($1) as moved;

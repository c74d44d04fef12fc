-- The database's clock, in milliseconds since the epoch.
-- Params: none
-- Returns: nowMs bigint
select :schema.timer_ms(clock_timestamp()) as "nowMs";

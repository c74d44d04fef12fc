-- The database's time, in milliseconds since 1970.
-- Params: none
-- Returns: nowMs bigint
select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as "nowMs";

-- Notes that all that the service has handed over is in this epoch of the log.
-- Params: logEpoch bigint
-- Returns: none
-- Locks: the service's row
select :schema.service_healed($1)::text;

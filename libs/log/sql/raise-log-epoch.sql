-- Raises the log's epoch, and stores where each partition ends: before any service appends again to a log that lost a tail.
-- Params: none
-- Returns: logEpoch bigint
-- Locks: the structure, exclusively: waits for appends
select :bus.log_raise_epoch() as "logEpoch";

-- A new producer id, unique in this log.
-- Params: none
-- Returns: producerId bigint
select nextval(':bus.producer_id') as "producerId";

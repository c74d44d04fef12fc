-- Puts everything on disk that this server has written so far, transaction ids that it has given out among it.
-- Params: none
-- Returns: lsn text
select set_config('synchronous_commit', 'on', true) as durability,
       pg_logical_emit_message(true, 'waybill', '')::text as lsn;

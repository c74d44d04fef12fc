-- Flushes to disk everything that this server has written so far, including the transaction ids that it has assigned.
-- Params: none
-- Returns: lsn text
select set_config('synchronous_commit', 'on', true) as durability,
       pg_logical_emit_message(true, 'waybill', '')::text as lsn;

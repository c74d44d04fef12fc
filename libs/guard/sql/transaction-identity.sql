-- What tells this transaction from every other: the connection's process, and the transaction's id.
-- Params: none
-- Returns: identity text
select pg_backend_pid()::text || '/' || pg_current_xact_id()::text as identity;

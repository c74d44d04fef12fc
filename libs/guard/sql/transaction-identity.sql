-- The unique identity of this transaction: the connection's process, and the transaction's id.
-- Params: none
-- Returns: identity text
select pg_backend_pid()::text || '/' || pg_current_xact_id()::text as identity;

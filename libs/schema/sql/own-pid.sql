-- The server process of this session.
-- Params: none
-- Returns: pid integer
select pg_backend_pid() as pid;

-- Notifies other processes, in a separate transaction (never in a producer's or a flush's).
-- Params: channel text, payload text
-- Returns: none
select pg_notify($1, $2);

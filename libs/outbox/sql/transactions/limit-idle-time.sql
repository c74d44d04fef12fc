-- Limits how long the open transaction may be idle, or wait for a lock. Returns the current role and search path.
-- Params: milliseconds text
-- Returns: role text, path text
select pg_catalog.current_setting('role') as role, pg_catalog.current_setting('search_path') as path,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $1::text, true),
       pg_catalog.set_config('lock_timeout', $1::text, true);

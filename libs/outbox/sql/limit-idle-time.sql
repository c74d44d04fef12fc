-- Limits how long the open transaction may stand idle, or wait for a lock.
-- Params: milliseconds text
-- Returns: none
select set_config('idle_in_transaction_session_timeout', $1::text, true), set_config('lock_timeout', $1::text, true);

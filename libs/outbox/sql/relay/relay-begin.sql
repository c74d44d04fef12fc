-- Begins a pass: takes the relay's lock, and returns the newest pass, a new snapshot and the size of the difference.
-- Params: measureLimit integer, leaseMs integer
-- Returns: state text, n bigint, token text, confirmedN bigint, base pg_snapshot, target pg_snapshot, windowId bigint?,
--   windowEnd bigint?, inWindows boolean, incarnation bigint
-- Locks: the relay's advisory lock (tried, not waited for), until the transaction ends
select b.state, b.n, b.token::text as token, b.confirmed_n as "confirmedN", b.base, b.target, b.window_id as "windowId",
       b.window_end as "windowEnd", b.in_windows as "inWindows", b.incarnation
  from :schema.relay_begin($1, $2) b;

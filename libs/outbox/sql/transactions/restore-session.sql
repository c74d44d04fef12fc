-- Restores role and search path in case a handler has changed them: Waybill's own statements follow.
-- Params: role text, path text
-- Returns: none
select pg_catalog.set_config('role', $1::text, false), pg_catalog.set_config('search_path', $2::text, false);

-- Sets role and search path back to what they were, in case that a handler has changed them: what follows is Waybill's own.
-- Params: role text, path text
-- Returns: none
select pg_catalog.set_config('role', $1::text, false), pg_catalog.set_config('search_path', $2::text, false);

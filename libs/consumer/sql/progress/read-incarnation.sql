-- When the server of the service's database was started, in microseconds.
-- Params: none
-- Returns: incarnation bigint
select :schema.incarnation() as incarnation;

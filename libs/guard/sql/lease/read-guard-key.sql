-- A key of a service's leases by its id.
-- Params: id bigint, service text
-- Returns: secret bytea
-- Index: guard_mac_key_pkey
select k.secret from :schema.guard_mac_key k where k.id = $1::bigint and k.service = $2::text;

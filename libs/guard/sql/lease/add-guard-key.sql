-- Stores a new key for a service's leases.
-- Params: service text, secret bytea
-- Returns: id bigint
-- Locks: none but the new row
insert into :schema.guard_mac_key (service, secret) values ($1::text, $2::bytea) returning id;

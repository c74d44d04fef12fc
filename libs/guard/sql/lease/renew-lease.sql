-- Extends a lease; false if another process has claimed its name since.
-- Params: name text, fence text, leaseMs bigint
-- Returns: renewed boolean
-- Index: guard_lease_pkey
select :schema.lease_renew($1, $2::text::bigint, $3) as renewed;

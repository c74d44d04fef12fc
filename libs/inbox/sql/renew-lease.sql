-- Extends a lease, unless another has claimed its name since; no row comes back then.
-- Params: name text, fence text, leaseMs bigint
-- Returns: renewed boolean
-- Index: guard_lease_pkey
update :schema.guard_lease l
   set lease_until = clock_timestamp() + $3::bigint::double precision * interval '1 millisecond'
 where l.name = $1 and l.fence = $2::text::bigint
returning true as renewed;

-- Gives a claim back, unless another has claimed its name since.
-- Params: name text, fence text
-- Returns: none
-- Index: guard_lease_pkey
delete from :schema.guard_lease l where l.name = $1 and l.fence = $2::text::bigint;

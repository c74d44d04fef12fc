-- Releases a claim, unless another process has claimed its name since.
-- Params: name text, fence text
-- Returns: none
-- Index: guard_lease_pkey
select from :schema.lease_release($1, $2::text::bigint);

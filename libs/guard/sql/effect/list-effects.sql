-- Lists external effects by key, or one of them.
-- Params: key text?, states text[]?, olderThanMs bigint, after text?, most integer
-- Returns: key text, state text, firstAt timestamptz, lastAt timestamptz?, leaseUntil timestamptz?, attempts bigint,
--   refusals bigint, decidedAt timestamptz?, outcome text?
select l.key, l.state, l.first_at as "firstAt", l.last_at as "lastAt", l.lease_until as "leaseUntil", l.attempts,
       l.refusals, l.decided_at as "decidedAt", l.outcome
  from :schema.effect_list($1::text, $2::text[], $3::bigint, $4::text, $5::integer) l;

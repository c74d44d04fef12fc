-- The newest key of a service's leases that is not older than maxAgeMs.
-- isCommitted: judging by its time, it was not made in this transaction.
-- Params: service text, maxAgeMs bigint
-- Returns: id bigint, secret bytea, isCommitted boolean
-- Index: guard_mac_key_service
select k.id, k.secret, k.created_at < transaction_timestamp() as "isCommitted"
  from :schema.guard_mac_key k
 where k.service = $1::text
   and k.created_at > clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1;

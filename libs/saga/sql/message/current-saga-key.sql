-- The newest key of a service's sagas that is not older than maxAgeMs.
-- isCommitted: it was not created by this transaction, as far as its time shows.
-- Params: replyTopic text, maxAgeMs bigint
-- Returns: id bigint, secret bytea, isCommitted boolean
-- Index: saga_mac_key_topic
select k.id, k.secret, k.created_at < transaction_timestamp() as "isCommitted"
  from :schema.saga_mac_key k
 where k.reply_topic = $1::text
   and k.created_at > clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1;

-- A key of a service's sagas by its id.
-- Params: id bigint, replyTopic text
-- Returns: secret bytea
-- Index: saga_mac_key_pkey
select k.secret from :schema.saga_mac_key k where k.id = $1::bigint and k.reply_topic = $2::text;

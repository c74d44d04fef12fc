-- Stores a new key of a service's sagas.
-- Params: replyTopic text, secret bytea
-- Returns: id bigint
-- Locks: none but the new row
insert into :schema.saga_mac_key (reply_topic, secret) values ($1::text, $2::bytea) returning id;

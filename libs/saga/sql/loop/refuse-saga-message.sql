-- Records that a message to a service's sagas was refused, unless a thousand such records exist: a sender that floods
-- the topic must not fill the database.
-- Params: replyTopic text, sagaId text?, step text?, why text, messageId text?, partition integer, offset bigint
-- Returns: none
insert into :schema.saga_refusal (reply_topic, saga_id, step, why, message_id, partition_number, log_offset)
select $1::text, $2::text, $3::text, $4::text, $5::text, $6::integer, $7::bigint
 where (select count(*) from (select from :schema.saga_refusal r where r.reply_topic = $1::text limit 1000) r) < 1000;

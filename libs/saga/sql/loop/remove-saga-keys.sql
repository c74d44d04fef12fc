-- Removes keys that were replaced longer than maxAgeMs ago, and before any running saga of their service started: no
-- message in flight is signed with them.
-- Params: maxAgeMs bigint
-- Returns: none
-- Index: saga_mac_key_topic
delete from :schema.saga_mac_key k
 where exists (select from :schema.saga_mac_key n
                where n.reply_topic = k.reply_topic and n.id > k.id
                  and n.created_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
                  and not exists (select from :schema.saga s
                                   where s.reply_topic = k.reply_topic and s.changed_at < n.created_at));

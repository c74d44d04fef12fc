-- Removes keys that were superseded longer than maxAgeMs ago: all marks signed with them have expired.
-- Params: maxAgeMs bigint
-- Returns: none
-- Index: guard_mac_key_service
delete from :schema.guard_mac_key k
 where exists (select from :schema.guard_mac_key n
                where n.service = k.service and n.id > k.id
                  and n.created_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond');

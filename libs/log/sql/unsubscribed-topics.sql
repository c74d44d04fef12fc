-- Topics with messages that no group reads: no group owns or has owned a partition of it, and no live member
-- subscribes to it. Topics for Waybill's own replies and commands are left out.
-- Params: minAgeMs bigint, most integer
-- Returns: topic text
-- Index: topic_partition_topic_id_number_key, log_batch_offset
select t.name as topic
  from :bus.topic t
 where t.name !~ '\.(replies|saga-replies)$'::text
   and not exists (select from :bus.topic_partition p
                     join :bus.partition_owner o on o.partition_id = p.id
                    where p.topic_id = t.id)
   and not exists (select from :bus.group_member m
                    where m.lease_until > clock_timestamp() and t.name = any (m.topics))
   and exists (select from :bus.topic_partition p
                 join :bus.log_batch b on b.partition_id = p.id
                where p.topic_id = t.id
                  and b.appended_at <= clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
 order by t.name
 limit $2;

-- Every partition of the groups of a service, and of groups that belong to none yet: whether it has an owner, for how
-- long that member's lease is valid (negative: it has ended), and how long ago its reported position last moved.
-- Params: serviceId uuid
-- Returns: groupName text, topic text, number integer, isOwned boolean, leaseMs bigint?, movedAgeMs bigint?
-- Index: the owners of all partitions; group_member_pkey, reported_position_pkey
select g.name as "groupName", t.name as topic, p.number, o.owner_id is not null as "isOwned",
       floor(extract(epoch from m.lease_until - clock_timestamp()) * 1000.0)::bigint as "leaseMs",
       floor(extract(epoch from clock_timestamp() - r.reported_at) * 1000.0)::bigint as "movedAgeMs"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
  left join :bus.group_member m on m.group_id = g.id and m.member_id = o.owner_id
  left join :bus.reported_position r on r.group_id = g.id and r.partition_id = p.id
 where g.service_id is null or g.service_id = $1::uuid
 order by g.name, t.name, p.number;

-- Extends the member's lease, or joins the group, if the server is the one that the member knows: another one may have given the
-- group's id to another group. The digest changes with the group's owners, its members, and the number of topics.
-- Params: groupId integer, memberId uuid, topics text[], leaseMs integer, incarnation bigint
-- Returns: logEpoch bigint, incarnation bigint, digest text
-- Locks: the member's row
select s.log_epoch as "logEpoch", s.incarnation,
       concat_ws(' ',
         (select concat_ws(' ', count(*), sum(hash_record_extended(
                   row(o.partition_id, o.owner_id, o.owner_epoch, o.target_id), 0)))
            from :bus.partition_owner o where o.group_id = $1),
         (select concat_ws(' ', count(*), sum(hash_record_extended(
                   row(m.member_id, m.topics, m.lease_until > clock_timestamp()), 0)))
            from :bus.group_member m where m.group_id = $1),
         (select count(*) from :bus.topic)) as digest,
       (select :bus.group_heartbeat($1, $2, $3, $4) where s.incarnation = $5)
  from (select b.log_epoch,
               (date_part('epoch', pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
          from :bus.bus_identity() b) s;

// Made by scripts/build-sql.mjs from ../sql/group; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Notes owner epochs of a group as they are in its service's database, also lower ones: for an operator.
 * Locks: the owners' rows
 */
export const adoptTaken = statement<[groupName: string, partitionIds: readonly (number | null)[], ownerEpochs: readonly (number | null)[]], Record<never, never>>('adopt-taken', `update :bus.partition_owner o
   set taken_epoch = w.epoch
  from unnest($2::integer[], $3::bigint[]) as w (id, epoch), :bus.consumer_group g
 where g.name = $1 and o.group_id = g.id and o.partition_id = w.id`);

/**
 * Assigns partitions to members. The caller holds the group's lock.
 * Locks: owner rows that change; waits for deliveries that hold them
 */
export const assignPartitions = statement<[groupId: number, partitionIds: readonly (number | null)[], memberIds: readonly (string | null)[]], Record<never, never>>('assign-partitions', `select :bus.group_assign($1, $2, $3)`);

/**
 * Extends the member's lease, or joins the group, if the server is the one that the member knows: another one may have given the
 * group's id to another group. The digest changes with the group's owners, its members, and the number of topics.
 * Locks: the member's row
 */
export const heartbeat = statement<[groupId: number, memberId: string, topics: readonly (string | null)[], leaseMs: number, incarnation: number], { logEpoch: number; incarnation: number; digest: string }>('heartbeat', `select s.log_epoch as "logEpoch", s.incarnation,
       pg_catalog.concat_ws(' ',
         (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hash_record_extended(
                   row(o.partition_id, o.owner_id, o.owner_epoch, o.target_id), 0)))
            from :bus.partition_owner o where o.group_id = $1),
         (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hash_record_extended(
                   row(m.member_id, m.topics, m.lease_until > pg_catalog.clock_timestamp()), 0)))
            from :bus.group_member m where m.group_id = $1),
         (select pg_catalog.count(*) from :bus.topic)) as digest,
       (select :bus.group_heartbeat($1, $2, $3, $4) where s.incarnation = $5)
  from (select b.log_epoch,
               (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
          from :bus.bus_identity() b) s`);

/**
 * The group's id; creates the group if it does not exist. Raises WB055 when its members are of another service.
 * Locks: the group's row, when it is new
 */
export const joinGroup = statement<[name: string, serviceId: string], { groupId: number }>('join-group', `select :bus.group_join($1, $2::uuid) as "groupId"`);

/**
 * Removes the member from the group.
 */
export const leaveGroup = statement<[groupId: number, memberId: string], Record<never, never>>('leave-group', `delete from :bus.group_member m where m.group_id = $1 and m.member_id = $2`);

/**
 * Takes the group's lock: one rebalance at a time.
 * Locks: the group's row, until the transaction ends
 */
export const lockGroup = statement<[groupId: number], { generation: number }>('lock-group', `select g.generation from :bus.consumer_group g where g.id = $1 for update`);

/**
 * Every partition of the groups of a service, and of groups that belong to none yet: whether it has an owner, for how
 * long that member's lease is valid (negative: it has ended), and how long ago its reported position last moved.
 * Index: the owners of all partitions; group_member_pkey, reported_position_pkey
 */
export const ownership = statement<[serviceId: string], { groupName: string; topic: string; number: number; isOwned: boolean; leaseMs: number | null; movedAgeMs: number | null }>('ownership', `select g.name as "groupName", t.name as topic, p.number, o.owner_id is not null as "isOwned",
       pg_catalog.floor(extract(epoch from m.lease_until - pg_catalog.clock_timestamp()) * 1000.0)::bigint as "leaseMs",
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - r.reported_at) * 1000.0)::bigint as "movedAgeMs"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
  left join :bus.group_member m on m.group_id = g.id and m.member_id = o.owner_id
  left join :bus.reported_position r on r.group_id = g.id and r.partition_id = p.id
 where g.service_id is null or g.service_id = $1::uuid
 order by g.name, t.name, p.number`);

/**
 * A group's lag: its position, as it was reported last, and the log's end, for each partition that it owns or has owned.
 */
export const readLag = statement<[groupName: string], { topic: string; number: number; partitionId: number; position: number; endOffset: number }>('read-lag', `select t.name as topic, p.number, p.id as "partitionId",
       coalesce((select c.position from :bus.reported_position c
                  where c.group_id = g.id and c.partition_id = p.id), l.start_offset) as position,
       l.end_offset as "endOffset"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
  cross join lateral :bus.log_offsets(array[p.id]) l
 where g.name = $1
 order by t.name, p.number`);

/**
 * The members of a group, and whether their leases are valid.
 */
export const readMembers = statement<[groupId: number], { memberId: string; topics: readonly string[]; alive: boolean }>('read-members', `select m.member_id::text as "memberId", m.topics, m.lease_until > pg_catalog.clock_timestamp() as alive
  from :bus.group_member m
 where m.group_id = $1
 order by m.member_id`);

/**
 * The owner of each partition of a group, and the member to which it is promised.
 */
export const readOwners = statement<[groupId: number], { partitionId: number; ownerId: string | null; ownerEpoch: number; targetId: string | null }>('read-owners', `select o.partition_id as "partitionId", o.owner_id::text as "ownerId", o.owner_epoch as "ownerEpoch",
       o.target_id::text as "targetId"
  from :bus.partition_owner o
 where o.group_id = $1
 order by o.partition_id`);

/**
 * The owner epochs that members of a group have reported from their service's database, of partitions that were taken.
 * Index: partition_owner_pkey
 */
export const readTaken = statement<[groupName: string], { partitionId: number; topic: string; number: number; takenEpoch: number }>('read-taken', `select o.partition_id as "partitionId", t.name as topic, p.number, o.taken_epoch as "takenEpoch"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id and o.taken_epoch > 0
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
 where g.name = $1
 order by t.name, p.number`);

/**
 * Releases a partition, in any epoch in which the member owns it.
 * Locks: the group's row, then the owner's row
 */
export const releasePartition = statement<[groupId: number, partitionId: number, memberId: string], Record<never, never>>('release-partition', `select :bus.group_release($1, $2, $3)`);

/**
 * Releases partitions, in any epoch in which the member owns them; returns those released. One that a delivery still
 * holds is kept.
 * Locks: the group's row, then the owners' rows that are free
 */
export const releasePartitions = statement<[groupId: number, partitionIds: readonly (number | null)[], memberId: string], { partitionId: number }>('release-partitions', `select r.id as "partitionId" from :bus.group_release_all($1, $2, $3::uuid) as r (id)`);

/**
 * Removes the members whose leases have expired. The caller holds the group's lock.
 */
export const removeExpiredMembers = statement<[groupId: number], { memberId: string }>('remove-expired-members', `delete from :bus.group_member m
 where m.group_id = $1 and m.lease_until <= pg_catalog.clock_timestamp()
returning m.member_id::text as "memberId"`);

/**
 * Stores a group's positions as a member reports them, for showing lag. One that is older than what is there changes nothing.
 * Locks: the rows of these positions
 */
export const reportPositions = statement<[groupId: number, partitionIds: readonly (number | null)[], ownerEpochs: readonly (number | null)[], positions: readonly (number | null)[]], Record<never, never>>('report-positions', `select :bus.group_report_progress($1, $2, $3, $4)`);

/**
 * Notes the owner epochs that a member has taken in its service's database; returns, for partitions that are granted to it,
 * the highest that had been reported before.
 * Locks: the partitions' rows of the group
 */
export const reportTaken = statement<[groupId: number, partitionIds: readonly (number | null)[], memberId: string, grantEpochs: readonly (number | null)[], ownerEpochs: readonly (number | null)[]], { partitionId: number; takenBefore: number }>('report-taken', `select r.of_partition as "partitionId", r.taken_before as "takenBefore"
  from :bus.group_report_taken($1, $2, $3::uuid, $4, $5) r`);

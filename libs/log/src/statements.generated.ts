// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-append.generated.js';
export * from './statements-cipher.generated.js';
export * from './statements-group.generated.js';
export * from './statements-read.generated.js';
export * from './statements-signal.generated.js';
export * from './statements-sink.generated.js';

/**
 * The service's id, and the log's epoch that it has caught up with; binds the service to a bus at its first contact. Raises
 * WB054 for another bus.
 * Locks: the service's row, the first time
 */
export const bindService = statement<[busId: string, logEpoch: number], { serviceId: string; logEpoch: number }>('bind-service', `select b.service_id::text as "serviceId", b.log_epoch as "logEpoch" from :schema.service_bind($1::uuid, $2) b`);

/**
 * The bus's id, the epoch of its log, and when its server was started, in microseconds.
 * Index: the whole of two small tables
 */
export const busIdentity = statement<[], { busId: string; logEpoch: number; incarnation: number }>('bus-identity', `select b.bus_id::text as "busId", b.log_epoch as "logEpoch",
       (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
  from :bus.bus_identity() b`);

/**
 * Changes a topic's retention, handling, and limits in the outbox; null leaves a setting unchanged, and 0
 * removes a limit.
 */
export const configureTopic = statement<[name: string, retentionMs: number | null, onDeadLetter: string | null, onExpired: string | null, backlogMaxMessages: number | null, backlogMaxBytes: number | null], { name: string }>('configure-topic', `update :bus.topic t
   set retention_ms = coalesce($2, t.retention_ms), on_dead_letter = coalesce($3, t.on_dead_letter),
       on_expired = coalesce($4, t.on_expired),
       backlog_max_messages = nullif(coalesce($5, t.backlog_max_messages), 0),
       backlog_max_bytes = nullif(coalesce($6, t.backlog_max_bytes), 0)
 where t.name = $1
returning t.name`);

/**
 * Counts topics. They are never removed: an unchanged count means no new topic.
 * Index: the whole of a small table
 */
export const countTopics = statement<[], { count: number }>('count-topics', `select pg_catalog.count(*) as count from :bus.topic`);

/**
 * Creates a topic and its partitions; an existing topic is left unchanged. Tells those who listen.
 * Locks: the new rows
 */
export const createTopic = statement<[name: string, partitions: number, retentionMs: number, onDeadLetter: string, onExpired: string, backlogMaxMessages: number | null, backlogMaxBytes: number | null, channel: string], Record<never, never>>('create-topic', `select from :bus.topic_create($1, $2, $3, $4, $5, $6, $7), pg_catalog.pg_notify($8, 'topics')`);

/**
 * The live members of a group: since when, their subscriptions, and how many partitions each owns.
 */
export const describeMembers = statement<[groupName: string], { memberId: string; joinedAt: Date; topics: readonly string[]; partitions: number }>('describe-members', `select m.member_id::text as "memberId", m.joined_at as "joinedAt", m.topics,
       (select pg_catalog.count(*)::integer from :bus.partition_owner o
         where o.group_id = m.group_id and o.owner_id = m.member_id) as partitions
  from :bus.consumer_group g
  join :bus.group_member m on m.group_id = g.id
 where g.name = $1 and m.lease_until > pg_catalog.clock_timestamp()
 order by m.joined_at, m.member_id`);

/**
 * Empties the oldest bucket if it is past retention.
 * Locks: the structure and the bucket's table, for at most 50 ms of waiting
 */
export const dropBucket = statement<[], { dropped: boolean }>('drop-bucket', `select :bus.log_drop_bucket() as dropped`);

/**
 * Groups whose position, as they reported it, is in the oldest bucket: they lose records when it is emptied.
 * Index: log_segment_pkey, reported_position_pkey
 */
export const findUnread = statement<[], { groupName: string; topic: string; number: number; position: number; nextBucketOffset: number }>('find-unread', `select g.name as "groupName", t.name as topic, p.number, c.position, n.first_offset as "nextBucketOffset"
  from :bus.log_segment s
  join :bus.topic_partition p on p.id = s.partition_id
  join :bus.topic t on t.id = p.topic_id
  join :bus.partition_owner o on o.partition_id = s.partition_id
  join :bus.consumer_group g on g.id = o.group_id
  cross join lateral (select pg_catalog.min(x.first_offset) as first_offset from :bus.log_segment x
                       where x.partition_id = s.partition_id and x.bucket_seq > s.bucket_seq) n
  join :bus.reported_position c on c.group_id = o.group_id and c.partition_id = s.partition_id
 where s.bucket_seq = (select pg_catalog.min(b.seq) from :bus.log_bucket b)
   and c.position < n.first_offset`);

/**
 * Each group's lag in each partition that it owns or has owned, and how long its first record that is
 * not done has been in the log. By the positions that members report every few seconds.
 * Index: reported_position_pkey, log_batch_offset
 */
export const groupBacklogs = statement<[], { groupName: string; topic: string; number: number; lag: number; oldestAgeMs: number | null }>('group-backlogs', `with place as materialized (
  select p.id, t.name as topic, p.number, l.start_offset, l.end_offset
    from :bus.topic_partition p
    join :bus.topic t on t.id = p.topic_id
    cross join lateral :bus.log_offsets(array[p.id]) l
   where exists (select from :bus.partition_owner o where o.partition_id = p.id)
)
select g.name as "groupName", p.topic, p.number, p.end_offset - c.position as lag,
       (select (extract(epoch from pg_catalog.clock_timestamp() - b.appended_at) * 1000.0)::bigint
          from :bus.log_batch b
         where c.position < p.end_offset and b.partition_id = p.id and b.last_offset >= c.position
         order by b.last_offset limit 1) as "oldestAgeMs"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join place p on p.id = o.partition_id
  cross join lateral (
    select greatest(p.start_offset,
                    coalesce((select x.position from :bus.reported_position x
                               where x.group_id = g.id and x.partition_id = p.id), p.start_offset)) as position) c
 order by g.name, p.topic, p.number`);

/**
 * Stores in the service's database what the bus says of topics; partitions are in order of topics and numbers.
 * Locks: advisory, until the transaction ends; the rows of topics that change
 */
export const learnTopics = statement<[topicIds: readonly (number | null)[], names: readonly (string | null)[], partitionCounts: readonly (number | null)[], retentions: readonly (number | null)[], onDeadLetter: readonly (string | null)[], onExpired: readonly (string | null)[], backlogMaxMessages: readonly (number | null)[], backlogMaxBytes: readonly (number | null)[], partitionIds: readonly (number | null)[]], Record<never, never>>('learn-topics', `select :schema.topic_learn($1, $2, $3, $4, $5, $6, $7, $8, $9)`);

/**
 * Every consumer group, with its live members and their topics.
 * Index: the whole of two small tables
 */
export const listGroups = statement<[], { groupName: string; createdAt: Date; members: number; topics: readonly string[] }>('list-groups', `select g.name as "groupName", g.created_at as "createdAt",
       (select pg_catalog.count(*)::integer from :bus.group_member m
         where m.group_id = g.id and m.lease_until > pg_catalog.clock_timestamp()) as members,
       array(select distinct topic
               from :bus.group_member m cross join pg_catalog.unnest(m.topics) as topic
              where m.group_id = g.id and m.lease_until > pg_catalog.clock_timestamp()
              order by topic) as topics
  from :bus.consumer_group g
 order by g.name`);

/**
 * The topics that some partitions belong to, with all their partitions, by number.
 * Index: topic_partition_pkey, topic_pkey, topic_partition_topic_id_number_key
 */
export const listPartitionsOf = statement<[partitionIds: readonly (number | null)[]], { topicId: number; topic: string; retentionMs: number; onDeadLetter: string; onExpired: string; backlogMaxMessages: number | null; backlogMaxBytes: number | null; number: number; partitionId: number }>('list-partitions-of', `select t.id as "topicId", t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", t.backlog_max_messages as "backlogMaxMessages",
       t.backlog_max_bytes as "backlogMaxBytes", p.number, p.id as "partitionId"
  from :bus.topic t
  join :bus.topic_partition p on p.topic_id = t.id
 where t.id in (select w.topic_id from :bus.topic_partition w where w.id = any ($1::integer[]))
 order by t.id, p.number`);

/**
 * Every topic with its partitions, by name and number.
 * Index: the whole of two small tables
 */
export const listPartitions = statement<[], { topicId: number; topic: string; retentionMs: number; onDeadLetter: string; onExpired: string; backlogMaxMessages: number | null; backlogMaxBytes: number | null; number: number; partitionId: number }>('list-partitions', `select t.id as "topicId", t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", t.backlog_max_messages as "backlogMaxMessages",
       t.backlog_max_bytes as "backlogMaxBytes", p.number, p.id as "partitionId"
  from :bus.topic t
  join :bus.topic_partition p on p.topic_id = t.id
 order by t.name, p.number`);

/**
 * Those of some topics that were created after a member of the group that subscribes to it had joined: all their
 * records are new to the group. A member reports its topics with its heartbeats; a topic that matches a pattern, once
 * it exists.
 * Index: group_member_pkey, topic_name_key
 */
export const newToGroup = statement<[groupId: number, topics: readonly (string | null)[]], { topic: string }>('new-to-group', `select t.name as topic
  from :bus.topic t
 where t.name = any ($2::text[])
   and t.created_at >= (select pg_catalog.min(m.joined_at) from :bus.group_member m where m.group_id = $1)
   and exists (select from :bus.group_member m
                where m.group_id = $1 and m.joined_at <= t.created_at and t.name = any (m.topics))`);

/**
 * How long the oldest bucket of the log has been open or closed, the longest retention of a topic, and the number of
 * buckets in use.
 * Index: the whole of two small tables
 */
export const oldestBucket = statement<[], { oldestAgeMs: number; longestRetentionMs: number; buckets: number }>('oldest-bucket', `select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(b.opened_at)) * 1000.0)::bigint as "oldestAgeMs",
       coalesce((select pg_catalog.max(t.retention_ms) from :bus.topic t), 0::bigint) as "longestRetentionMs", pg_catalog.count(*)::integer as buckets
  from :bus.log_bucket b`);

/**
 * The age of the oldest open transaction in this database that keeps vacuum from removing rows, including prepared
 * ones. Without the role pg_read_all_stats only those of the same user are visible.
 */
export const oldestTransaction = statement<[], { ageMs: number }>('oldest-transaction', `select greatest(0, extract(epoch from pg_catalog.clock_timestamp() - least(
         (select pg_catalog.min(a.xact_start) from pg_catalog.pg_stat_activity a
           where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()
             and (a.backend_xmin is not null or a.backend_xid is not null)),
         (select pg_catalog.min(x.prepared) from pg_catalog.pg_prepared_xacts x where x.database = pg_catalog.current_database()),
         pg_catalog.clock_timestamp())) * 1000.0)::bigint as "ageMs"`);

/**
 * Opens the next bucket if the newest is old enough.
 * Locks: the structure, for at most 50 ms of waiting
 */
export const openBucket = statement<[bucketMs: number], { opened: boolean }>('open-bucket', `select :bus.log_open_bucket($1) as opened`);

/**
 * Raises the log's epoch, and stores where each partition ends: before any service appends again to a log that lost a tail.
 * Locks: the structure, exclusively: waits for appends
 */
export const raiseLogEpoch = statement<[], { logEpoch: number }>('raise-log-epoch', `select :bus.log_raise_epoch() as "logEpoch"`);

/**
 * Every topic with its partitions, as the service's copy has them, by name and number.
 * Index: the whole of two small tables
 */
export const recallTopics = statement<[], { topicId: number; topic: string; retentionMs: number; onDeadLetter: string; onExpired: string; backlogMaxMessages: number | null; backlogMaxBytes: number | null; number: number; partitionId: number }>('recall-topics', `select t.id as "topicId", t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", t.backlog_max_messages as "backlogMaxMessages",
       t.backlog_max_bytes as "backlogMaxBytes", p.number, p.id as "partitionId"
  from :schema.topic t
  join :schema.topic_partition p on p.topic_id = t.id
 order by t.name, p.number`);

/**
 * Empties the oldest slot of the ring of passes, after carrying forward the newest of each source.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const recycleSources = statement<[], { emptied: boolean }>('recycle-sources', `select :bus.log_source_recycle() as emptied`);

/**
 * Creates topics again under their ids; partitions are in order of topics and numbers. Existing topics are left unchanged.
 * Locks: advisory, until the transaction ends; the new rows
 */
export const restoreTopics = statement<[topicIds: readonly (number | null)[], names: readonly (string | null)[], partitionCounts: readonly (number | null)[], retentions: readonly (number | null)[], onDeadLetter: readonly (string | null)[], onExpired: readonly (string | null)[], backlogMaxMessages: readonly (number | null)[], backlogMaxBytes: readonly (number | null)[], partitionIds: readonly (number | null)[]], Record<never, never>>('restore-topics', `select from :bus.topic_restore($1, $2, $3, $4, $5, $6, $7, $8, $9)`);

/**
 * The service's id, the bus that it is bound to, and the log's epoch that it has caught up with.
 * Index: one row
 */
export const serviceState = statement<[], { serviceId: string; busId: string | null; logEpoch: number | null }>('service-state', `select s.id::text as "serviceId", s.bus_id::text as "busId", s.log_epoch as "logEpoch" from :schema.service s`);

/**
 * Topics with messages that no group reads: no group owns or has owned a partition of it, and no live member
 * subscribes to it. Topics for Waybill's own replies and commands are left out.
 * Index: topic_partition_topic_id_number_key, log_batch_offset
 */
export const unsubscribedTopics = statement<[minAgeMs: number, most: number], { topic: string }>('unsubscribed-topics', `select t.name as topic
  from :bus.topic t
 where t.name !~ '\\.(replies|saga-replies)$'::text
   and not exists (select from :bus.topic_partition p
                     join :bus.partition_owner o on o.partition_id = p.id
                    where p.topic_id = t.id)
   and not exists (select from :bus.group_member m
                    where m.lease_until > pg_catalog.clock_timestamp() and t.name = any (m.topics))
   and exists (select from :bus.topic_partition p
                 join :bus.log_batch b on b.partition_id = p.id
                where p.topic_id = t.id
                  and b.appended_at <= pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
 order by t.name
 limit $2`);

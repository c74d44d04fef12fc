// Made by scripts/build-sql.mjs from ../sql; do not edit.
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
 * Appends record batches, concatenated in data, partitions ascending.
 * Locks: the structure (shared), then the partitions ascending, until the transaction ends
 */
export const appendRecords = statement<[partitionIds: readonly (number | null)[], recordCounts: readonly (number | null)[], byteLengths: readonly (number | null)[], maxTimestamps: readonly (number | null)[], baseSequences: readonly (number | null)[], data: Buffer, producerId: number, synchronousCommit: string | null], { partitionId: number; baseOffset: number }>('append-records', `select a.appended_partition as "partitionId", a.appended_offset as "baseOffset"
  from :bus.log_append($1, $2, $3, $4, $5, $6, $7, $8) a`);

/**
 * What the log holds of a source: the bus's id, the log's epoch, and the newest pass (n = 0: none).
 * Index: source_service_id_key, log_source_n
 */
export const askSource = statement<[serviceId: string], { busId: string; logEpoch: number; n: number; token: string | null }>('ask-source', `select a.bus_id::text as "busId", a.log_epoch as "logEpoch", a.n, a.token::text as token from :bus.source_ask($1::uuid) a`);

/**
 * Assigns partitions to members. The caller holds the group's lock.
 * Locks: owner rows that change; waits for deliveries that hold them
 */
export const assignPartitions = statement<[groupId: number, partitionIds: readonly (number | null)[], memberIds: readonly (string | null)[]], Record<never, never>>('assign-partitions', `select :bus.group_assign($1, $2, $3)`);

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
 * Stores keys of the service in the log, which is in the same database. Those of erased subjects are left out.
 * Locks: an erasure in the log waits for it
 */
export const copySubjectKeys = statement<[keyIds: readonly (string | null)[]], Record<never, never>>('copy-subject-keys', `select :bus.keep_subject_keys(pg_catalog.array_agg(k.subject_hash), pg_catalog.array_agg(k.id), pg_catalog.array_agg(k.wrapped_key))::text
  from :schema.subject_keys_of($1::uuid[]) k having pg_catalog.count(*) > 0`);

/**
 * The number of keys of a subject in the log.
 * Index: subject_key_subject
 */
export const countLogKeys = statement<[subjectHash: Buffer], { keys: number }>('count-log-keys', `select :bus.count_subject_keys($1) as keys`);

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
 * Destroys the keys of a subject in the log, for good.
 * Locks: waits for transactions that store keys in the log, and they for it
 */
export const destroyLogKeys = statement<[subjectHash: Buffer], { destroyed: number }>('destroy-log-keys', `select :bus.destroy_subject_keys($1) as destroyed`);

/**
 * Empties the oldest bucket if it is past retention.
 * Locks: the structure and the bucket's table, for at most 50 ms of waiting
 */
export const dropBucket = statement<[], { dropped: boolean }>('drop-bucket', `select :bus.log_drop_bucket() as dropped`);

/**
 * Writes messages that a service sends without a caller into the outbox, in the order of the arrays.
 * Locks: none but the new rows
 */
export const enqueueMessages = statement<[messageIds: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], controls: readonly (string | null)[], expiresAtMs: readonly (number | null)[], signatures: readonly (string | null)[], payloads: readonly (Buffer | null)[]], Record<never, never>>('enqueue-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, control, expires_at_ms, signature, payload)
select m.id, m.topic, m.partition, m.key, m.headers::jsonb, m.control::jsonb, m.expires, m.signature, m.payload
  from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bytea[])
    with ordinality as m (id, topic, partition, key, headers, control, expires, signature, payload, place)
 order by m.place`);

/**
 * The first batch of each partition that has a record with this timestamp or a later one.
 * Index: log_batch_offset, from its start
 */
export const findBatchesAt = statement<[partitionIds: readonly (number | null)[], timestampMs: number], { partitionId: number; baseOffset: number; data: Buffer }>('find-batches-at', `select w.id as "partitionId", n.base_offset as "baseOffset", n.data
  from pg_catalog.unnest($1::integer[]) as w (id)
 cross join lateral (select b.base_offset, b.data
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.max_timestamp >= $2
                      order by b.last_offset
                      limit 1) n`);

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
 * Appends one pass of a source's outbox, once, with the keys of subjects that its records need. Raises WB050 to WB053.
 * Locks: the source, the structure (shared), then the partitions ascending, until the transaction ends; with keys also those
 *   of the log, shared
 */
export const handOverPass = statement<[serviceId: string, logEpoch: number, n: number, token: string, tokenBefore: string | null, partitionIds: readonly (number | null)[], recordCounts: readonly (number | null)[], byteLengths: readonly (number | null)[], maxTimestamps: readonly (number | null)[], data: Buffer, subjectHashes: readonly (Buffer | null)[], keyIds: readonly (string | null)[], wrappedKeys: readonly (Buffer | null)[]], { partitionId: number; baseOffset: number; already: boolean }>('hand-over-pass', `select h.appended_partition as "partitionId", h.appended_offset as "baseOffset", h.already
  from :bus.log_hand_over($1::uuid, $2, $3, $4::uuid, $5::uuid, $6, $7, $8, $9, $10, $11, $12::uuid[], $13) h`);

/**
 * Extends the member's lease, or joins the group, if the server is the one that the member knows: another one may have given the
 * group's id to another group. The digest changes with the group's owners, its members, and the number of topics.
 * Locks: the member's row
 */
export const heartbeat = statement<[groupId: number, memberId: string, topics: readonly (string | null)[], leaseMs: number, incarnation: number], { logEpoch: number; incarnation: number; digest: string }>('heartbeat', `select s.log_epoch as "logEpoch", s.incarnation,
       (select pg_catalog.count(*) || ' ' || coalesce(pg_catalog.sum(pg_catalog.hash_record_extended(
                 row(o.partition_id, o.owner_id, o.owner_epoch, o.target_id), 0)), 0)
          from :bus.partition_owner o where o.group_id = $1)
       || ' ' ||
       (select pg_catalog.count(*) || ' ' || coalesce(pg_catalog.sum(pg_catalog.hash_record_extended(
                 row(m.member_id, m.topics, m.lease_until > pg_catalog.clock_timestamp()), 0)), 0)
          from :bus.group_member m where m.group_id = $1)
       || ' ' || (select pg_catalog.count(*) from :bus.topic) as digest,
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
 * Stores a key of a subject, in the transaction of the data encrypted with it. Raises WB011 if the subject was erased.
 * Locks: an erasure of the subject waits for it
 */
export const keepSubjectKey = statement<[subjectHash: Buffer, keyId: string, wrapped: Buffer], Record<never, never>>('keep-subject-key', `select :schema.keep_subject_key($1, $2, $3)`);

/**
 * Stores in the service's database what the bus says of topics; partitions are in order of topics and numbers.
 * Locks: advisory, until the transaction ends; the rows of topics that change
 */
export const learnTopics = statement<[topicIds: readonly (number | null)[], names: readonly (string | null)[], partitionCounts: readonly (number | null)[], retentions: readonly (number | null)[], onDeadLetter: readonly (string | null)[], onExpired: readonly (string | null)[], backlogMaxMessages: readonly (number | null)[], backlogMaxBytes: readonly (number | null)[], partitionIds: readonly (number | null)[]], Record<never, never>>('learn-topics', `select :schema.topic_learn($1, $2, $3, $4, $5, $6, $7, $8, $9)`);

/**
 * Removes the member from the group.
 */
export const leaveGroup = statement<[groupId: number, memberId: string], Record<never, never>>('leave-group', `delete from :bus.group_member m where m.group_id = $1 and m.member_id = $2`);

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
 * The passes of a source from a number on, as far as the log remembers them, with where their records are.
 * Index: log_source_n
 */
export const listPasses = statement<[serviceId: string, fromN: number], { n: number; token: string; partitionIds: readonly number[]; baseOffsets: readonly number[]; lastOffsets: readonly number[] }>('list-passes', `select p.n, p.token::text as token, p.partition_ids as "partitionIds", p.base_offsets as "baseOffsets",
       p.last_offsets as "lastOffsets"
  from :bus.source_passes($1::uuid, $2) p`);

/**
 * Takes the group's lock: one rebalance at a time.
 * Locks: the group's row, until the transaction ends
 */
export const lockGroup = statement<[groupId: number], { generation: number }>('lock-group', `select g.generation from :bus.consumer_group g where g.id = $1 for update`);

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
 * A new producer id, unique in this log.
 */
export const nextProducerId = statement<[], { producerId: number }>('next-producer-id', `select pg_catalog.nextval(':bus.producer_id') as "producerId"`);

/**
 * Notifies other processes, in a separate transaction (never in a producer's or a flush's).
 */
export const notify = statement<[channel: string, payload: string], Record<never, never>>('notify', `select pg_catalog.pg_notify($1, $2)`);

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
 * Raises the log's epoch, and stores where each partition ends: before any service appends again to a log that lost a tail.
 * Locks: the structure, exclusively: waits for appends
 */
export const raiseLogEpoch = statement<[], { logEpoch: number }>('raise-log-epoch', `select :bus.log_raise_epoch() as "logEpoch"`);

/**
 * The checksum in the header of the batch that holds the record before an offset; none if there is no such batch.
 * Index: log_batch_offset
 */
export const readChecksums = statement<[partitionIds: readonly (number | null)[], offsets: readonly (number | null)[]], { partitionId: number; checksum: number }>('read-checksums', `select w.id as "partitionId", ('x' || pg_catalog.encode(n.bytes, 'hex'))::pg_catalog.bit(32)::bigint as checksum
  from unnest($1::integer[], $2::bigint[]) as w (id, log_offset)
 cross join lateral (select pg_catalog.substr(b.data, 18, 4) as bytes, b.base_offset
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.last_offset >= w.log_offset - 1
                      order by b.last_offset
                      limit 1) n
 where n.base_offset <= w.log_offset - 1`);

/**
 * The lowest offset from which each partition has lost its records since an epoch of the log; none if it has lost nothing.
 * Index: log_cut_pkey
 */
export const readCuts = statement<[partitionIds: readonly (number | null)[], logEpoch: number], { partitionId: number; cut: number }>('read-cuts', `select c.partition_id as "partitionId", pg_catalog.min(c.cut) as cut
  from :bus.log_cut c
 where c.epoch > $2 and c.partition_id = any ($1)
 group by c.partition_id`);

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
 * The same of the log.
 * Index: subject_key_id, erased_subject_pkey
 */
export const readLogKey = statement<[keyId: string, subjectHash: Buffer], { wrapped: Buffer | null; erased: boolean }>('read-log-key', `select k.wrapped, k.erased from :bus.read_subject_key($1::uuid, $2) k`);

/**
 * The members of a group, and whether their leases are valid.
 */
export const readMembers = statement<[groupId: number], { memberId: string; topics: readonly string[]; alive: boolean }>('read-members', `select m.member_id::text as "memberId", m.topics, m.lease_until > pg_catalog.clock_timestamp() as alive
  from :bus.group_member m
 where m.group_id = $1
 order by m.member_id`);

/**
 * Where partitions start and end.
 * Index: log_segment_pkey, log_batch_offset
 */
export const readOffsets = statement<[partitionIds: readonly (number | null)[]], { partitionId: number; startOffset: number; endOffset: number }>('read-offsets', `select o.of_partition as "partitionId", o.start_offset as "startOffset", o.end_offset as "endOffset"
  from :bus.log_offsets($1) o`);

/**
 * The owner of each partition of a group, and the member to which it is promised.
 */
export const readOwners = statement<[groupId: number], { partitionId: number; ownerId: string | null; ownerEpoch: number; targetId: string | null }>('read-owners', `select o.partition_id as "partitionId", o.owner_id::text as "ownerId", o.owner_epoch as "ownerEpoch",
       o.target_id::text as "targetId"
  from :bus.partition_owner o
 where o.group_id = $1
 order by o.partition_id`);

/**
 * The buckets that contain records of these partitions, oldest first.
 * Index: log_segment_pkey
 */
export const readSegments = statement<[partitionIds: readonly (number | null)[]], { partitionId: number; bucketSeq: number; slot: number; firstOffset: number }>('read-segments', `select s.partition_id as "partitionId", s.bucket_seq as "bucketSeq", s.slot::integer as slot,
       s.first_offset as "firstOffset"
  from :bus.log_segment s
 where s.partition_id = any ($1)
 order by s.partition_id, s.bucket_seq`);

/**
 * A key of a subject of the service, wrapped, and whether the subject was erased.
 * Index: subject_key_id, erased_subject_pkey
 */
export const readSubjectKey = statement<[keyId: string, subjectHash: Buffer], { wrapped: Buffer | null; erased: boolean }>('read-subject-key', `select k.wrapped, k.erased from :schema.read_subject_key($1::uuid, $2) k`);

/**
 * Keys of the service, wrapped, by their ids; those that it does not have are left out.
 * Index: subject_key_id
 */
export const readSubjectKeys = statement<[keyIds: readonly (string | null)[]], { id: string; subjectHash: Buffer; wrapped: Buffer }>('read-subject-keys', `select k.id::text as id, k.subject_hash as "subjectHash", k.wrapped_key as wrapped from :schema.subject_keys_of($1::uuid[]) k`);

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

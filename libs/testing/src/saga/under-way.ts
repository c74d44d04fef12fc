import type { PgDatabase } from '@waybill/kernel';
import { renderSql } from '@waybill/kernel/internal';
import pg from 'pg';

/** `application_name` of the kit's own sessions. */
export const KIT_NAME = 'waybill testing';

/** Waybill's work in progress, read from the test's database. */
export interface UnderWay {
  /** Work that must end before time may be skipped; empty when nothing is in progress. */
  readonly reasons: readonly string[];
  /** What falls due next, and when, by the database's clock. */
  readonly next: { readonly atMs: number; readonly what: string } | undefined;
  /** Whether a message that waits for its next attempt is due. */
  readonly hasDueParked: boolean;
}

/** Reads what is in progress, and what falls due next. */
export async function lookAt(database: PgDatabase): Promise<UnderWay> {
  const { pool } = database;
  // First: the second query sees what is committed after this one, and what caused it.
  const open = await pool.query<{ what: string }>(OPEN, [KIT_NAME]);
  const seen = await pool.query<{ what: string; at_ms: string | null; due: boolean; parked: boolean }>(
    renderSql(LOOK, database.schema),
  );
  const reasons = [...open.rows, ...seen.rows.filter(({ due }) => due)].map(({ what }) => what);
  const [next] = seen.rows.filter(({ due }) => !due).toSorted((a, b) => Number(a.at_ms) - Number(b.at_ms));
  return {
    reasons,
    next: next && { atMs: Number(next.at_ms), what: next.what },
    hasDueParked: seen.rows.some(({ parked, due }) => parked && due),
  };
}

/** Makes the owners of partitions with a due message read their rows again: for them time has not passed. */
export async function hurryParked(database: PgDatabase, channel: string): Promise<void> {
  const schema = pg.escapeIdentifier(database.schema);
  await database.pool.query(
    `with hurried as (
       update ${schema}.progress_owner o set owner_epoch = o.owner_epoch + 1
        where exists (select from ${schema}.parked_message m
                       where m.group_id = o.group_id and m.partition_id = o.partition_id
                         and m.due_at <= (select clock_timestamp()))
       returning o.partition_id
     )
     select pg_notify($1, 'group waybill-testing') from (select from hurried limit 1) h`,
    [channel],
  );
}

const OPEN = `
  select format('a transaction of %s is open: %s', coalesce(nullif(a.application_name, ''), 'an unnamed client'),
                left(a.query, 200)) as what
    from pg_stat_activity a
   where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
     and a.application_name <> $1
     and (a.backend_xid is not null or a.state in ('idle in transaction', 'idle in transaction (aborted)'))`;

/**
 * A row for each item: in progress (due), or in the future (at_ms). Work of services that do not run is left out: of
 * sagas whose replies no member reads, of groups without members.
 */
const LOOK = `
  with living as materialized (
    select m.group_id, own.id as own_group_id, m.member_id, topic
      from :bus.group_member m
      join :bus.consumer_group g on g.id = m.group_id
      left join :schema.consumer_group own on own.name = g.name
     cross join unnest(m.topics) as topic
     where m.lease_until > clock_timestamp()
  ), wanted as (
    select distinct l.group_id, l.own_group_id, l.topic, p.id as partition_id
      from living l join :bus.topic t on t.name = l.topic join :bus.topic_partition p on p.topic_id = t.id
  ), owned as (
    select w.*, o.owner_id is not null and o.target_id is null
             and exists (select from living l where l.group_id = w.group_id and l.member_id = o.owner_id)
             and exists (select from :schema.progress_owner t
                          where t.group_id = w.own_group_id and t.partition_id = w.partition_id
                            and t.grant_epoch = o.owner_epoch) as is_settled
      from wanted w left join :bus.partition_owner o using (group_id, partition_id)
  ), behind as (
    select o.topic, l.end_offset - p.position
           - (select count(distinct k.log_offset) from :schema.delivery_mark k
               where k.group_id = o.own_group_id and k.partition_id = o.partition_id
                 and k.log_offset >= p.position and k.log_offset < l.end_offset) as messages
      from owned o
      cross join lateral :bus.log_offsets(array[o.partition_id]) l
      cross join lateral (
        select coalesce((select c.position from :schema.consumer_position c
                          where c.group_id = o.own_group_id and c.partition_id = o.partition_id
                          order by c.owner_epoch desc, c.position desc, c.id desc limit 1), l.start_offset) as position) p
  ), outbox as (
    select count(*) as messages
      from (select o.id from :schema.relay_place() c
             cross join lateral (
               select o.id, o.xid from :schema.outbox o
                where o.xid >= pg_snapshot_xmax(c.base) or o.xid = any (array(select pg_snapshot_xip(c.base)))) o
             where c.target is null or o.id > c.window_id or not pg_visible_in_snapshot(o.xid, c.target) limit 1000) w
  ), timed as (
    select 'saga ' || s.saga_type || ' ' || s.saga_key as what, s.wake_at as at, false as parked
      from :schema.saga s where s.wake_at is not null and s.reply_topic in (select topic from living)
    union all
    select 'the HTTP call of step ' || c.step || ' of saga ' || c.saga_id, c.due_at, false
      from :schema.saga_call c
     where c.due_at is not null and c.token is null and c.reply_topic in (select topic from living)
    union all
    select 'an event of ' || e.topic || ' that no saga waits for', e.expires_at, false
      from :schema.saga_event e where e.reply_topic in (select topic from living)
    union all
    select 'a command of ' || h.topic || ' that waits for ' || h.entity, h.expires_at, false from :schema.saga_stash h
    union all
    select 'a timer for ' || coalesce(t.topic, t.token, 'an unnamed target'), t.due_at, false from :schema.timer t
    union all
    select 'a message of ' || t.name || ' that is retried', m.due_at, true
      from :schema.parked_message m join :schema.topic_partition p on p.id = m.partition_id
      join :schema.topic t on t.id = p.topic_id
     where m.due_at < 'infinity' and exists (select from living l where l.own_group_id = m.group_id and l.topic = t.name)
    union all
    select 'half message ' || h.id, h.next_check_at, false from :schema.half_message h where h.state = 1
  ), now_at as materialized (select clock_timestamp() as at)
  select 'partitions of ' || o.topic || ' are being assigned' as what, null::bigint as at_ms, true as due, false as parked
    from owned o where not coalesce(o.is_settled, false) group by o.topic
  union all
  select b.messages || ' messages of ' || b.topic || ' are undelivered', null, true, false
    from (select topic, sum(messages) as messages from behind group by topic) b where b.messages > 0
  union all
  select o.messages || ' messages wait for the relay', null, true, false from outbox o where o.messages > 0
  union all
  select 'the HTTP call of step ' || c.step || ' of saga ' || c.saga_id || ' is in flight', null, true, false
    from :schema.saga_call c where c.token is not null and c.reply_topic in (select topic from living)
  union all
  select 'an operator has ordered something for saga ' || o.saga_id, null, true, false
    from :schema.saga_order o where o.outcome is null and o.reply_topic in (select topic from living)
  union all
  select d.what || ' is due', null, true, d.parked from timed d, now_at n where d.at <= n.at
  union all
  (select d.what, ceil(extract(epoch from d.at) * 1000)::bigint, false, d.parked from timed d, now_at n
    where d.at > n.at order by d.at limit 1)`;

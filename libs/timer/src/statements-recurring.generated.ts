// Made by scripts/build-sql.mjs from ../sql/recurring; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * All recurring messages, with their next runs.
 * Index: timer_token
 */
export const listRecurring = statement<[], { name: string; topic: string; partition: number | null; key: string | null; cron: string | null; timeZone: string | null; everyMs: number | null; missed: string; nextRunMs: number | null }>('list-recurring', `select r.name, r.topic, r.partition_number as partition, r.key, r.cron, r.time_zone as "timeZone",
       r.every_ms as "everyMs", r.missed,
       (select (t.headers->>'runAtMs'::text)::bigint from :schema.timer t
         where t.token = r.name and t.kind = 2 and (t.headers->>'revision'::text)::bigint = r.revision
         limit 1) as "nextRunMs"
  from :schema.recurring_message r
 order by r.name`);

/**
 * Stores a recurring message, and a timer for its first run unless the definition is unchanged.
 * Locks: its row
 */
export const putRecurring = statement<[name: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, cron: string | null, timeZone: string | null, everyMs: number | null, missed: string, firstRunMs: number], { changed: boolean; dueMs: number | null }>('put-recurring', `select p.changed, p.due_ms as "dueMs"
  from :schema.recurring_put($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11) p`);

/**
 * The recurring messages of these names.
 */
export const readRecurring = statement<[names: readonly (string | null)[]], { name: string; topic: string; partition: number | null; key: string | null; headers: string | null; payload: Buffer | null; cron: string | null; timeZone: string | null; everyMs: number | null; missed: string; revision: number; scheduledMs: number }>('read-recurring', `select r.name, r.topic, r.partition_number as partition, r.key, r.headers::text as headers, r.payload, r.cron,
       r.time_zone as "timeZone", r.every_ms as "everyMs", r.missed, r.revision,
       :schema.timer_ms(r.scheduled_at) as "scheduledMs"
  from :schema.recurring_message r
 where r.name = any ($1)`);

/**
 * Removes a recurring message and its timer; one that is being fired is skipped.
 */
export const removeRecurring = statement<[name: string], { name: string }>('remove-recurring', `with gone as (
  delete from :schema.recurring_message r where r.name = $1 returning r.name
), run as (
  select t.slot, t.due_at, t.id from :schema.timer t
    join gone g on t.token = g.name
   where t.kind = 2 for update of t skip locked
), removed as (
  delete from :schema.timer t using run r where t.slot = r.slot and t.due_at = r.due_at and t.id = r.id
)
select g.name from gone g`);

/**
 * Schedules the next runs of recurring messages.
 * Locks: none but the new rows
 */
export const scheduleRuns = statement<[names: readonly (string | null)[], revisions: readonly (number | null)[], runAtMs: readonly (number | null)[]], { dueMs: number }>('schedule-runs', `with next_run as materialized (
  select n.*, :schema.timer_due(timestamptz 'epoch' + n.run_at_ms::double precision * interval '1 millisecond') as due_at
    from unnest($1::text[], $2::bigint[], $3::bigint[]) as n (name, revision, run_at_ms)
)
insert into :schema.timer as t (slot, due_at, kind, token, headers)
select :schema.timer_slot(n.due_at), n.due_at, 2, n.name,
       pg_catalog.jsonb_build_object('revision', n.revision, 'runAtMs', n.run_at_ms)
  from next_run n
returning :schema.timer_ms(t.due_at) as "dueMs"`);

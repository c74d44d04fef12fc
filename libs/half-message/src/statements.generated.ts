// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Makes a half message due for a check at once, with its count at zero and no deadline.
 * Index: half_message_pkey
 */
export const checkHalfAgain = statement<[id: string], { id: string }>('check-half-again', `update :schema.half_message h
   set state = 1, checks = 0, unanswered = 0, deadline_at = null, next_check_at = pg_catalog.clock_timestamp(),
       lease_epoch = h.lease_epoch + 1, claimed_by = null, failing_since = null, last_failure = null
 where h.id = $1
returning h.id`);

/**
 * Claims half messages of a group that are due to be checked, none due before low (milliseconds since the epoch).
 * Locks: the claimed rows; locked rows are skipped
 * Index: half_message_due
 */
export const claimHalves = statement<[group: string, lowMs: number, most: number, leaseMs: number, by: string], { id: string; epoch: number; checks: number; preparedAt: Date; local: string | null; messages: string; payloads: readonly Buffer[]; nowMs: number }>('claim-halves', `select c.id, c.lease_epoch as epoch, c.checks, c.prepared_at as "preparedAt", c."local", c.messages, c.payloads,
       c.now_ms as "nowMs"
  from :schema.half_claim($1, timestamptz 'epoch' + $2::bigint::double precision * interval '1 millisecond', $3, $4, $5) c`);

/**
 * Commits prepared half messages whose content is known; raises WB008 if one is no longer prepared.
 * Locks: the half messages, in the order of their ids
 * Index: half_message_pkey
 */
export const commitPreparedHalves = statement<[ids: readonly (string | null)[], by: string], Record<never, never>>('commit-prepared-halves', `select :schema.half_commit_prepared($1, $2)`);

/**
 * Decides on a half message: 2 commits, 3 rolls back. Returns its content if this call decided it.
 * Locks: the half message
 * Index: half_message_pkey, half_message_decided_id
 */
export const decideHalf = statement<[id: string, verdict: number, by: string, reason: string | null, epoch: number | null, fromStates: readonly (number | null)[]], { outcome: string; state: number | null; decidedBy: string | null; reason: string | null; nowMs: number | null; messages: string | null; payloads: readonly Buffer[] | null }>('decide-half', `select d.outcome, d.state::integer as state, d.decided_by as "decidedBy", d.reason, d.now_ms as "nowMs", d.messages,
       d.payloads
  from :schema.half_decide($1, $2::smallint, $3, $4, $5, $6::smallint[]) d`);

/**
 * Records the result of a check without a verdict: UNKNOWN counts, a failed check does not. It is due again after a
 * wait that doubles: from its own interval to intervalMaxMs after UNKNOWN, from retryMs to retryMaxMs after a failed
 * check. It becomes undecided when it has been checked often enough, its deadline has passed, or its checks have failed
 * for failingMs (0: never for this reason) and at least failuresMin times in a row. failure: the code or class of the
 * failure; null if the check did not fail. No row: a newer claim exists.
 * Index: half_message_pkey
 */
export const deferHalf = statement<[id: string, epoch: number, counts: boolean, answer: string, intervalMaxMs: number, retryMs: number, retryMaxMs: number, failure: string | null, failingMs: number, failuresMin: number], { undecided: boolean }>('defer-half', `update :schema.half_message h
   set checks = h.checks + $3::boolean::integer,
       unanswered = case when $3 then 0 else h.unanswered + 1 end,
       last_result = $4,
       claimed_by = null,
       failing_since = case when $8::text is not null then coalesce(h.failing_since, pg_catalog.clock_timestamp()) end,
       last_failure = $8::text,
       next_check_at = pg_catalog.clock_timestamp() + interval '1 millisecond'
         * case when $3 then least(h.check_interval_ms::double precision
                                     * pg_catalog.power(2::double precision, least(h.checks, 30)::double precision),
                                   greatest(h.check_interval_ms, $5::bigint))
                else least($6::bigint::double precision
                             * pg_catalog.power(2::double precision, least(h.unanswered, 30)::double precision),
                           $7::bigint) end,
       state = case
         when ($3 and h.checks + 1 >= h.check_max) or h.deadline_at <= pg_catalog.clock_timestamp() then 4
         when $8::text is not null and $9::bigint > 0 and h.unanswered + 1 >= $10::integer
          and h.failing_since <= pg_catalog.clock_timestamp() - $9::bigint::double precision * interval '1 millisecond' then 4
         else 1 end
 where h.id = $1 and h.state = 1 and h.lease_epoch = $2
returning h.state = 4 as undecided`);

/**
 * Empties a slot of decided half messages if all of them are older than the retention.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyHalfSlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-half-slot', `select :schema.half_empty_slot($1, $2) as emptied`);

/**
 * Flushes to disk everything that this server has written so far, including the transaction ids that it has assigned.
 */
export const flushWal = statement<[], { lsn: string }>('flush-wal', `select pg_catalog.set_config('synchronous_commit', 'on', true) as durability,
       pg_catalog.pg_logical_emit_message(true, 'waybill', '')::text as lsn`);

/**
 * Half messages whose check-back was due some time ago and that no checker has claimed (counted up to 100,000), and how long
 * the most overdue has waited for it.
 * Index: half_message_due
 */
export const halfOverdue = statement<[overdueMs: number], { overdue: number; oldestOverdueMs: number | null }>('half-overdue', `select pg_catalog.count(*)::integer as overdue,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(h.next_check_at)) * 1000.0)::bigint as "oldestOverdueMs"
  from (select o.next_check_at from :schema.half_message o
         where o.state = 1 and o.next_check_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
         limit 100000) h`);

/**
 * Number of open and of undecided half messages (both counted up to 100,000), and the age of the oldest.
 * Index: half_message_pkey, half_message_undecided
 */
export const halfStats = statement<[], { open: number; undecided: number; oldestOpenAgeMs: number | null }>('half-stats', `select (select pg_catalog.count(*) from (select from :schema.half_message limit 100000) o)::integer as open,
       (select pg_catalog.count(*) from (select from :schema.half_message h where h.state = 4 limit 100000) u)::integer
         as undecided,
       (select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - h.prepared_at) * 1000.0)::bigint
          from :schema.half_message h order by h.id limit 1) as "oldestOpenAgeMs"`);

/**
 * Problems of half messages: how long the oldest undecided one has been prepared, the number of those with failing
 * checks (up to 100,000), for how long, and the last failure of these or of undecided ones.
 * Index: half_message_undecided, half_message_failing
 */
export const halfTrouble = statement<[], { oldestUndecidedAgeMs: number | null; failing: number; oldestFailingMs: number | null; lastFailure: string | null }>('half-trouble', `select (select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - u.prepared_at) * 1000.0)::bigint
          from :schema.half_message u where u.state = 4 order by u.id limit 1) as "oldestUndecidedAgeMs",
       (select pg_catalog.count(*) from (select from :schema.half_message f where f.failing_since is not null and f.state = 1
                               limit 100000) f)::integer as failing,
       (select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - f.failing_since) * 1000.0)::bigint
          from :schema.half_message f where f.failing_since is not null and f.state = 1
         order by f.failing_since limit 1) as "oldestFailingMs",
       (select f.last_failure from :schema.half_message f where f.failing_since is not null
         order by f.failing_since desc limit 1) as "lastFailure"`);

/**
 * Half messages in order of id: filtered by states and group, starting after an id.
 * Index: half_message_pkey, half_message_decided_id
 */
export const listHalves = statement<[states: readonly (number | null)[], group: string | null, after: string | null, most: number], { id: string; group: string; state: number; preparedAt: Date; nextCheckAt: Date | null; deadlineAt: Date | null; checks: number; checkMax: number | null; checkedBy: string | null; lastResult: string | null; decidedAt: Date | null; decidedBy: string | null; reason: string | null; messages: string }>('list-halves', `(select o.id, o.producer_group as "group", o.state::integer as state, o.prepared_at as "preparedAt",
        o.next_check_at as "nextCheckAt", o.deadline_at as "deadlineAt", o.checks, o.check_max as "checkMax",
        case when o.next_check_at > pg_catalog.clock_timestamp() then o.claimed_by end as "checkedBy",
        o.last_result as "lastResult", null::timestamptz as "decidedAt", null::text as "decidedBy",
        null::text as reason, o.messages::text as messages
   from :schema.half_message o
  where o.state = any ($1::smallint[]) and ($2::text is null or o.producer_group = $2)
    and o.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
  order by o.id limit $4)
union all
(select d.id, d.producer_group, d.state::integer, d.prepared_at, null, null, d.checks, null, null, null, d.decided_at,
        d.decided_by, d.reason, d.messages::text
   from :schema.half_message_decided d
  where d.state = any ($1::smallint[]) and ($2::text is null or d.producer_group = $2)
    and d.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
  order by d.id limit $4)
 order by id
 limit $4`);

/**
 * Assigns the current transaction its id, and returns it with the cluster and timeline.
 */
export const markTransaction = statement<[], { xid: string; systemIdentifier: string; timeline: string }>('mark-transaction', `select pg_catalog.pg_current_xact_id()::text as xid, (select c.system_identifier from pg_catalog.pg_control_system() c)::text
         as "systemIdentifier", pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) as timeline`);

/**
 * Stores a half message. The times are in milliseconds; the deadline is optional.
 * Locks: none but the new row
 */
export const prepareHalf = statement<[id: string, group: string, immunityMs: number, deadlineMs: number | null, intervalMs: number, checkMax: number, local: string | null, messages: string, payloads: readonly (Buffer | null)[]], { nowMs: number }>('prepare-half', `select :schema.half_prepare($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9) as "nowMs"`);

/**
 * One half message, decided or not; with its payloads while it is not decided.
 * Index: half_message_pkey, half_message_decided_id
 */
export const showHalf = statement<[id: string], { id: string; group: string; state: number; preparedAt: Date; nextCheckAt: Date | null; deadlineAt: Date | null; checks: number; checkMax: number | null; checkedBy: string | null; lastResult: string | null; decidedAt: Date | null; decidedBy: string | null; reason: string | null; messages: string; payloads: readonly Buffer[] | null; local: string | null }>('show-half', `select o.id, o.producer_group as "group", o.state::integer as state, o.prepared_at as "preparedAt",
       o.next_check_at as "nextCheckAt", o.deadline_at as "deadlineAt", o.checks, o.check_max as "checkMax",
       case when o.next_check_at > pg_catalog.clock_timestamp() then o.claimed_by end as "checkedBy",
       o.last_result as "lastResult", null::timestamptz as "decidedAt", null::text as "decidedBy",
       null::text as reason, o.messages::text as messages, o.payloads, o.local::text as local
  from :schema.half_message o where o.id = $1
union all
select d.id, d.producer_group, d.state::integer, d.prepared_at, null, null, d.checks, null, null, null, d.decided_at,
       d.decided_by, d.reason, d.messages::text, null, null
  from :schema.half_message_decided d where d.id = $1`);

/**
 * How a transaction has ended, if this is still the cluster and the timeline on which it got its id. Everything that
 * the response is based on is on disk when it arrives. An id that was not assigned yet is an error (22023).
 */
export const transactionStatus = statement<[xid: string, systemIdentifier: string, timeline: string], { same: boolean; status: string | null }>('transaction-status', `select i.same, case when i.same then pg_catalog.pg_xact_status($1::text::xid8) end as status,
       pg_catalog.set_config('synchronous_commit', 'on', true) as durability, pg_catalog.pg_logical_emit_message(true, 'waybill', '')::text as lsn
  from (select (select c.system_identifier from pg_catalog.pg_control_system() c)::text = $2
               and pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) = $3 as same) i`);

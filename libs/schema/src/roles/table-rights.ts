import { ALL, type Grantee, NOT_PUBLISHER, PUBLISHING } from './grantees.js';

/** Rights on a table by role, as in GRANT: `select, insert (topic, key)`. */
export type TableRights = Partial<Record<Grantee, string>>;

/** The columns of an outbox row that may be set; the others (id, xid, created_at) are set by the database. */
const PUBLISH =
  'insert (slot, message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at, timer_token, expires_at_ms, signature)';
/** The same with control headers, which are trusted. */
const CONTROL = PUBLISH.replace('signature)', 'signature, control)');
const OUTBOX_SLOTS = 8;
/** Every column except who, when and the id: the database sets those. */
const AUDIT = 'insert (stated_by, action, target_kind, target, reason, details)';

function sameFor(roles: readonly Grantee[], rights: string): TableRights {
  return Object.fromEntries(roles.map((role) => [role, rights]));
}

/** In both parts. */
export const COMMON_TABLES: Readonly<Record<string, TableRights>> = {
  migration: sameFor(ALL, 'select'),
  // Read by row-level security itself: the names are not secret, their restrictions are.
  acl_login: { ...sameFor(PUBLISHING, 'select (login)'), ...sameFor(['monitor', 'operator'], 'select') },
  acl: sameFor(['monitor', 'operator'], 'select'),
  // Read and written by functions: no login can list keys or erased subjects.
  subject_key: {},
  erased_subject: {},
};

/**
 * The tables of the log's schema. A new table gets a line here or in {@link SERVICE_TABLES}, an empty one if only the
 * owner and our functions use it; `test/roles/roles-are-what-is-written.spec.ts` requires it. Slots of rings have no
 * rights of their own, except those listed.
 */
export const BUS_TABLES: Readonly<Record<string, TableRights>> = {
  topic: {
    ...sameFor(ALL, 'select'),
    operator:
      'select, update (retention_ms, on_dead_letter, on_expired, backlog_max_messages, backlog_max_bytes)',
  },
  topic_partition: sameFor(NOT_PUBLISHER, 'select'),
  log_bucket: sameFor(NOT_PUBLISHER, 'select'),
  log_segment: sameFor(NOT_PUBLISHER, 'select'),
  log_floor: {},
  log_batch: {
    service: 'select',
    ...sameFor(
      ['monitor', 'operator'],
      'select (slot, partition_id, base_offset, last_offset, record_count, bytes, appended_at)',
    ),
  },
  consumer_group: {
    service: 'select, insert (name, service_id), update (generation, service_id)',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  group_member: {
    service: 'select, insert, update (lease_until, topics), delete',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  partition_owner: {
    service:
      'select, insert (group_id, partition_id), update (owner_id, owner_epoch, target_id, taken_epoch)',
    monitor: 'select',
    operator: 'select, update (taken_epoch)',
  },
  reported_position: {
    service:
      'select, insert (group_id, partition_id, position, owner_epoch), update (position, owner_epoch, reported_at)',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  bus: {},
  log_epoch: sameFor(NOT_PUBLISHER, 'select'),
  log_cut: sameFor(NOT_PUBLISHER, 'select'),
  source: sameFor(['monitor', 'operator'], 'select'),
  log_source: sameFor(['monitor', 'operator'], 'select'),
};

const SAGA_SHOWN =
  'id, saga_type, definition_version, reply_topic, state, revision, started_at, parent_id, parent_step';

const CALL_SHOWN =
  'saga_id, branch, op, step, attempt, round, reply_topic, definition, host, state, begun, rejected, tries, due_at, lease_until';

/** The tables of a service's schema. */
export const SERVICE_TABLES: Readonly<Record<string, TableRights>> = {
  service: sameFor(['service', 'monitor', 'operator'], 'select'),
  topic: sameFor(ALL, 'select'),
  topic_partition: sameFor(NOT_PUBLISHER, 'select'),
  consumer_group: { service: 'select, insert (name)', ...sameFor(['monitor', 'operator'], 'select') },
  progress_owner: {
    service: 'select, insert, update',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  outbox: {
    publisher: PUBLISH,
    service: `select, ${CONTROL}`,
    ...sameFor(['monitor', 'operator'], 'select (id, xid, topic, timer_action, created_at)'),
  },
  ...Object.fromEntries(
    Array.from({ length: OUTBOX_SLOTS }, (_, slot) => [
      `outbox_s${slot}`,
      { publisher: PUBLISH, service: CONTROL },
    ]),
  ),
  outbox_quarantine: {
    service: 'select, insert',
    monitor:
      'select (quarantine_id, topic, partition_number, timer_action, created_at, published_by, origin, reason_code, quarantined_at)',
    operator: 'select, delete',
  },
  relay_intent: sameFor(NOT_PUBLISHER, 'select'),
  consumer_position: { service: 'select, insert', ...sameFor(['monitor', 'operator'], 'select') },
  delivery_mark: { service: 'select, insert, delete' },
  crash_charge: { service: 'select, insert, delete' },
  parked_message: {
    service: 'select, insert, update, delete',
    monitor: 'select (group_id, partition_id, log_offset, attempts, due_at, from_dead_letter, parked_at)',
    operator: 'select, insert, update, delete',
  },
  dead_letter: {
    service: 'select, insert, update, delete',
    monitor:
      'select (id, group_id, partition_id, topic, partition_number, handler, reason, error_class, error_code, fingerprint, attempts, first_failed_at, last_failed_at, state, state_since, redrives, created_at)',
    operator: 'select, update (state, state_since, redrives, replaced_by, message_id, headers, payload)',
  },
  retry_budget: { service: 'select, insert, update' },
  timer: {
    service: 'select, insert, update, delete',
    ...sameFor(['monitor', 'operator'], 'select (slot, due_at, id, kind, topic, created_at)'),
  },
  recurring_message: {
    service: 'select, update, delete',
    ...sameFor(
      ['monitor', 'operator'],
      'select (name, topic, partition_number, cron, time_zone, every_ms, missed, revision, created_at)',
    ),
  },
  operator_action: { service: AUDIT, operator: `select, ${AUDIT}` },
  redrive: {
    monitor: 'select (id, per_second, total, redriven, state, started_at, moved_at)',
    operator: 'select, insert (filter, stated_by, per_second, up_to_id, total), update',
  },
  half_message: {
    service: 'select, insert, update, delete',
    monitor:
      'select (id, producer_group, state, prepared_at, next_check_at, deadline_at, check_interval_ms, check_max, checks, unanswered, failing_since, last_failure)',
    operator: 'select, update, delete',
  },
  half_message_decided: {
    service: 'select, insert',
    monitor: 'select (slot, id, producer_group, state, prepared_at, decided_at, checks)',
    operator: 'select, insert',
  },
  idempotent_message: {},
  barrier: {},
  barrier_result: {},
  guard_lease: {},
  guard_outcome: {},
  guard_mac_key: { service: 'select, insert (service, secret), delete' },
  external_effect: {},
  external_effect_outcome: {},
  saga: {
    service: 'select, insert, update, delete',
    monitor: `select (${SAGA_SHOWN}, changed_at, wake_at)`,
    operator: 'select',
  },
  saga_ended: {
    service: 'select, insert',
    monitor: `select (slot, ${SAGA_SHOWN}, ended_at)`,
    operator: 'select',
  },
  saga_transition: {
    service: 'select, insert',
    monitor: 'select (slot, saga_id, revision, at, state)',
    operator: 'select',
  },
  saga_attribute: { service: 'select, insert, update (kind, value), delete', operator: 'select' },
  // Operators write it with functions.
  saga_bulk: { service: 'select (id, moved_at), delete', operator: 'select' },
  saga_mac_key: { service: 'select, insert (reply_topic, secret), delete' },
  saga_refusal: {
    service:
      'select, insert (reply_topic, saga_id, step, why, message_id, partition_number, log_offset), delete',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  // Operators write orders only with order_saga().
  saga_order: { service: 'select, update (outcome, why, settled_at), delete', operator: 'select' },
  saga_definition: {
    service: 'select, insert, update (seen_at), delete',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  saga_event_wait: { service: 'select, insert, update, delete', operator: 'select' },
  saga_event: { service: 'select, insert, update (expires_at, failures), delete', operator: 'select' },
  saga_ignored: {
    service: 'select, insert (reply_topic, saga_id, kind, name, why, content), delete',
    monitor: 'select (id, ignored_at, reply_topic, saga_id, kind, name, why)',
    operator: 'select',
  },
  saga_call: {
    service: 'select, insert, update',
    monitor: `select (${CALL_SHOWN})`,
    operator: `select (${CALL_SHOWN}, last_error)`,
  },
  saga_lock: { monitor: 'select (saga_id, branch, locked_at)', operator: 'select' },
  saga_stash: {
    service: 'select (id, entity, expires_at, control), update (expires_at), delete',
    monitor: 'select (id, expires_at, topic)',
    operator: 'select (id, entity, expires_at, topic)',
  },
};

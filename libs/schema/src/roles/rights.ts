import type { DatabasePart, Role } from './role.js';

/** The grantee of a right. A participant is a service in another database. */
export type Grantee = Exclude<Role, 'participant'>;

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

const ALL: readonly Grantee[] = ['publisher', 'service', 'monitor', 'operator'];
const NOT_PUBLISHER: readonly Grantee[] = ['service', 'monitor', 'operator'];
const PUBLISHING: readonly Grantee[] = ['publisher', 'service'];
const SERVICE: readonly Grantee[] = ['service'];
const SERVICE_OR_OPERATOR: readonly Grantee[] = ['service', 'operator'];
const OPERATOR: readonly Grantee[] = ['operator'];
/** Reserved for the owner and for our other functions. */
const NONE: readonly Grantee[] = [];

function sameFor(roles: readonly Grantee[], rights: string): TableRights {
  return Object.fromEntries(roles.map((role) => [role, rights]));
}

/** In every database. */
const COMMON_TABLES: Readonly<Record<string, TableRights>> = {
  migration: sameFor(ALL, 'select'),
  // Read by row-level security itself: the names are not secret, their restrictions are.
  acl_login: { ...sameFor(PUBLISHING, 'select (login)'), ...sameFor(['monitor', 'operator'], 'select') },
  acl: sameFor(['monitor', 'operator'], 'select'),
  // Written by a function; a login that may decrypt unwraps them.
  subject_key: { service: 'select' },
  erased_subject: { service: 'select' },
};

/**
 * The tables of the log's database. A new table gets a line here or in {@link OWN_TABLES}, an empty one if only the
 * owner and our functions use it; `test/roles/roles-are-what-is-written.spec.ts` requires it. Slots of rings have no
 * rights of their own, except those listed.
 */
const BUS_TABLES: Readonly<Record<string, TableRights>> = {
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
  relay_cursor: sameFor(NOT_PUBLISHER, 'select'),
  consumer_group: {
    service: 'select, insert (name), update (generation)',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  group_member: {
    service: 'select, insert, update (lease_until, topics), delete',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  partition_owner: {
    service: 'select, insert (group_id, partition_id), update (owner_id, owner_epoch, target_id)',
    ...sameFor(['monitor', 'operator'], 'select'),
  },
  consumer_position: { service: 'select, insert', ...sameFor(['monitor', 'operator'], 'select') },
  delivery_mark: { service: 'select, insert' },
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
};

const SAGA_SHOWN =
  'id, saga_type, definition_version, reply_topic, state, revision, started_at, parent_id, parent_step';

const CALL_SHOWN =
  'saga_id, branch, op, step, attempt, round, reply_topic, definition, host, state, begun, rejected, tries, due_at, lease_until';

/** The tables of a service's own database, if it has one. */
const OWN_TABLES: Readonly<Record<string, TableRights>> = {
  inbox: { service: 'insert' },
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
  // If operator_action exists, it is used instead.
  participant_action: { operator: 'select' },
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

/** In every database. */
const COMMON_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  timer_ms: NOT_PUBLISHER,
  commit_to_disk: SERVICE_OR_OPERATOR,
  uuid_ms: NOT_PUBLISHER,
  keep_subject_key: PUBLISHING,
  destroy_subject_keys: NONE,
};

/** Who may execute the log's functions. A new function gets a line, an empty list if only our functions call it. */
const BUS_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  // Called by row-level security.
  acl_open: ALL,
  acl_assert_outbox: PUBLISHING,
  acl_publishes: NOT_PUBLISHER,
  acl_reads_topic: NOT_PUBLISHER,
  acl_reads: NOT_PUBLISHER,
  acl_knows_topic: OPERATOR,
  acl_group_name: NOT_PUBLISHER,
  acl_groups: NOT_PUBLISHER,
  acl_consumes: NOT_PUBLISHER,
  acl_assert_half: SERVICE_OR_OPERATOR,
  acl_saga: NOT_PUBLISHER,
  acl_open_for: NONE,
  acl_entries: NONE,
  acl_publishes_for: NONE,
  acl_assert_publish: NONE,
  acl_assert_append: NONE,
  acl_assert_open: NONE,
  acl_assert_guard: NONE,
  // Publishing.
  publish: PUBLISHING,
  known_topic: PUBLISHING,
  uuid_v7: PUBLISHING,
  delivery_time: PUBLISHING,
  // Relay and log.
  relay_begin: SERVICE,
  relay_probe: SERVICE,
  relay_advance: SERVICE,
  relay_cursor_recycle: SERVICE,
  relay_adopt: NONE,
  admit_outbox_row: NONE,
  outbox_measure: PUBLISHING,
  outbox_backlogs: NOT_PUBLISHER,
  outbox_set_aside: SERVICE,
  outbox_requeue: OPERATOR,
  timer_set_aside: SERVICE,
  outbox_empty_slot: SERVICE,
  topic_create: SERVICE_OR_OPERATOR,
  log_append: SERVICE_OR_OPERATOR,
  log_next_offset: NONE,
  log_offsets: NOT_PUBLISHER,
  log_open_bucket: SERVICE,
  log_drop_bucket: SERVICE,
  // Groups.
  fence: SERVICE,
  advance: SERVICE,
  advance_all: SERVICE,
  group_heartbeat: SERVICE,
  group_assign: SERVICE,
  group_release: SERVICE,
  group_release_all: SERVICE,
  retry_budget_draw: SERVICE,
  consumer_recycle: SERVICE,
  // Timers.
  timer_due: SERVICE,
  timer_slot: SERVICE,
  timer_asker: NONE,
  timer_schedule: SERVICE_OR_OPERATOR,
  timer_cancel: SERVICE,
  timer_reschedule: SERVICE,
  timer_probe: SERVICE,
  timer_claim: SERVICE,
  timer_promote: SERVICE,
  timer_empty_slot: SERVICE,
  timer_window: SERVICE,
  recurring_put: SERVICE,
  // Dead letters and the audit record of operators' actions.
  json_or_null: OPERATOR,
  dead_letter_ids: OPERATOR,
  redrive_dead_letters: OPERATOR,
  redrive_step: OPERATOR,
  discard_dead_letters: SERVICE_OR_OPERATOR,
  audit_forget: SERVICE,
  sign_action: NONE,
  // Half messages.
  half_prepare: SERVICE,
  half_decide: SERVICE_OR_OPERATOR,
  half_commit_prepared: SERVICE,
  half_claim: SERVICE,
  half_empty_slot: SERVICE,
};

/** Who may execute the functions of a service's own database. */
const OWN_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  inbox_empty_slot: SERVICE,
  message_slot_number: NONE,
  message_look: NONE,
  message_enter: SERVICE,
  message_keep: SERVICE,
  message_empty_slot: SERVICE,
  barrier_slot: NONE,
  barrier_slot_at: NONE,
  barrier_made: NONE,
  barrier_late: NONE,
  barrier_bar: NONE,
  barrier_ongoing: SERVICE,
  barrier_end: SERVICE,
  barrier_pass: SERVICE,
  barrier_tombstone: SERVICE,
  barrier_call: SERVICE,
  barrier_keep: SERVICE,
  barrier_reject: SERVICE,
  barrier_pardon: SERVICE,
  barrier_abandon: SERVICE,
  barrier_empty_slot: SERVICE,
  guard_lock: NONE,
  guard_empty_slot: SERVICE,
  lease_claim: SERVICE,
  lease_finish: SERVICE,
  lease_renew: SERVICE,
  lease_release: SERVICE,
  lease_forget: SERVICE,
  effect_slot: NONE,
  effect_known: NONE,
  effect_newest: NONE,
  effect_list: SERVICE_OR_OPERATOR,
  decide_effect: OPERATOR,
  effect_begin: SERVICE,
  effect_go_on: SERVICE,
  effect_settle: SERVICE,
  effect_empty_slot: SERVICE,
  saga_slot: NOT_PUBLISHER,
  saga_start: SERVICE,
  saga_save: SERVICE,
  saga_end: SERVICE,
  saga_overtaken: SERVICE,
  saga_empty_slot: SERVICE,
  saga_event_lock: SERVICE,
  saga_await_event: SERVICE,
  saga_take_event: SERVICE,
  saga_expire_event: SERVICE,
  saga_calls_save: SERVICE,
  saga_calls_claim: SERVICE,
  saga_call_end_try: SERVICE,
  saga_call_reply: SERVICE,
  saga_hold: SERVICE,
  saga_stash_command: SERVICE,
  saga_release: SERVICE,
  saga_wake: SERVICE,
  saga_forget_ended: SERVICE,
  audit_own: NONE,
  unlock_entity: OPERATOR,
  order_saga: OPERATOR,
  saga_attributes_save: SERVICE,
  saga_bulk_begin: OPERATOR,
  saga_bulk_step: OPERATOR,
  saga_bulk_cancel: OPERATOR,
};

/** Who may use sequences. Those of identity columns, and of functions that run as their owner, are the owner's. */
const BUS_SEQUENCES: Readonly<Record<string, readonly Grantee[]>> = {
  outbox_id: PUBLISHING,
  outbox_measured: NONE,
  producer_id: SERVICE,
  position_id: SERVICE,
  timer_id: SERVICE,
};
const OWN_SEQUENCES: Readonly<Record<string, readonly Grantee[]>> = { guard_fence: NONE };

/** All objects with rights, for a part of the schema. */
export interface RightsTable {
  readonly tables: Readonly<Record<string, TableRights>>;
  readonly functions: Readonly<Record<string, readonly Grantee[]>>;
  readonly sequences: Readonly<Record<string, readonly Grantee[]>>;
}

const BUS: RightsTable = { tables: BUS_TABLES, functions: BUS_FUNCTIONS, sequences: BUS_SEQUENCES };
const OWN: RightsTable = { tables: OWN_TABLES, functions: OWN_FUNCTIONS, sequences: OWN_SEQUENCES };

/** The rights of the roles in a database with that part of the schema. */
export function rightsOf(part: DatabasePart): RightsTable {
  const parts = [...(part === 'participant' ? [] : [BUS]), ...(part === 'bus' ? [] : [OWN])];
  return {
    tables: Object.assign({}, COMMON_TABLES, ...parts.map(({ tables }) => tables)) as RightsTable['tables'],
    functions: Object.assign(
      {},
      COMMON_FUNCTIONS,
      ...parts.map(({ functions }) => functions),
    ) as RightsTable['functions'],
    sequences: Object.assign({}, ...parts.map(({ sequences }) => sequences)) as RightsTable['sequences'],
  };
}

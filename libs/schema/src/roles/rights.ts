import type { SchemaPart } from '../schema-part.js';
import {
  ALL,
  type Grantee,
  NONE,
  NOT_PUBLISHER,
  OPERATOR,
  PUBLISHING,
  SERVICE,
  SERVICE_OR_OPERATOR,
} from './grantees.js';
import { BUS_TABLES, COMMON_TABLES, SERVICE_TABLES, type TableRights } from './table-rights.js';

/** In both parts. */
const COMMON_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  // A login that may decrypt unwraps it.
  read_subject_key: SERVICE_OR_OPERATOR,
  // Called by row-level security.
  acl_open: ALL,
  acl_publishes: NOT_PUBLISHER,
  acl_reads_topic: NOT_PUBLISHER,
  acl_reads: NOT_PUBLISHER,
  acl_knows_topic: OPERATOR,
  acl_group_name: NOT_PUBLISHER,
  acl_groups: NOT_PUBLISHER,
  acl_consumes: NOT_PUBLISHER,
  acl_open_for: NONE,
  acl_entries: NONE,
  acl_publishes_for: NONE,
  acl_assert_publish: NONE,
  acl_assert_open: NONE,
};

/** Who may execute the log's functions. A new function gets a line, an empty list if only our functions call it. */
const BUS_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  acl_assert_append: NONE,
  // Keys of subjects come with records. A service may not destroy those of other services: only an operator may.
  keep_subject_key: NONE,
  keep_subject_keys: SERVICE_OR_OPERATOR,
  subject_keys_of: NONE,
  count_subject_keys: OPERATOR,
  destroy_subject_keys: OPERATOR,
  topic_create: SERVICE_OR_OPERATOR,
  topic_restore: SERVICE_OR_OPERATOR,
  log_append: SERVICE_OR_OPERATOR,
  log_next_offset: NONE,
  log_offsets: NOT_PUBLISHER,
  log_open_bucket: SERVICE,
  log_drop_bucket: SERVICE,
  // Groups.
  group_join: SERVICE,
  group_heartbeat: SERVICE,
  group_assign: SERVICE,
  group_release: SERVICE,
  group_release_all: SERVICE,
  group_report_taken: SERVICE,
  group_report_positions: SERVICE,
  group_report_progress: SERVICE,
  // Hand-over.
  bus_identity: ALL,
  source_ask: NOT_PUBLISHER,
  source_passes: OPERATOR,
  source_newest: NONE,
  source_bind: NONE,
  source_assert_own: NONE,
  log_hand_over: SERVICE,
  log_source_recycle: SERVICE,
  log_raise_epoch: NONE,
};

/** Who may execute the functions of a service's schema. */
const SERVICE_FUNCTIONS: Readonly<Record<string, readonly Grantee[]>> = {
  timer_ms: NOT_PUBLISHER,
  commit_to_disk: SERVICE_OR_OPERATOR,
  session_reset: SERVICE,
  uuid_ms: NOT_PUBLISHER,
  acl_assert_outbox: PUBLISHING,
  acl_assert_half: SERVICE_OR_OPERATOR,
  acl_assert_guard: NONE,
  acl_saga: NOT_PUBLISHER,
  service_bind: SERVICE,
  service_healed: SERVICE,
  topic_learn: SERVICE_OR_OPERATOR,
  // Keys of subjects; those who append read them to store them in the log as well.
  keep_subject_key: PUBLISHING,
  keep_subject_keys: NONE,
  subject_keys_of: SERVICE_OR_OPERATOR,
  count_subject_keys: NONE,
  destroy_subject_keys: NONE,
  // Publishing.
  publish: PUBLISHING,
  known_topic: PUBLISHING,
  uuid_v7: PUBLISHING,
  delivery_time: PUBLISHING,
  // Relay.
  relay_begin: SERVICE,
  relay_probe: SERVICE,
  relay_place: NOT_PUBLISHER,
  relay_newest: SERVICE_OR_OPERATOR,
  relay_intents: SERVICE_OR_OPERATOR,
  relay_intend: SERVICE,
  relay_amend: SERVICE,
  relay_restore_version: SERVICE,
  relay_intent_recycle: SERVICE,
  relay_reconcile: NONE,
  forget_published: NONE,
  admit_outbox_row: NONE,
  outbox_measure: PUBLISHING,
  outbox_backlogs: NOT_PUBLISHER,
  outbox_set_aside: SERVICE,
  outbox_requeue: OPERATOR,
  timer_set_aside: SERVICE,
  outbox_empty_slot: SERVICE,
  // Progress.
  incarnation: SERVICE,
  group_ensure: SERVICE,
  assert_read_committed: SERVICE,
  progress_take: SERVICE,
  progress_retake: SERVICE,
  progress_begin: SERVICE,
  fence: SERVICE,
  progress_rewind: SERVICE,
  advance: SERVICE,
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
const BUS_SEQUENCES: Readonly<Record<string, readonly Grantee[]>> = { producer_id: SERVICE };
const SERVICE_SEQUENCES: Readonly<Record<string, readonly Grantee[]>> = {
  outbox_id: PUBLISHING,
  outbox_measured: NONE,
  position_id: SERVICE,
  timer_id: SERVICE,
  guard_fence: NONE,
};

/** All objects with rights, for a part of the schema. */
export interface RightsTable {
  readonly tables: Readonly<Record<string, TableRights>>;
  readonly functions: Readonly<Record<string, readonly Grantee[]>>;
  readonly sequences: Readonly<Record<string, readonly Grantee[]>>;
}

const RIGHTS: Readonly<Record<SchemaPart, RightsTable>> = {
  bus: {
    tables: { ...COMMON_TABLES, ...BUS_TABLES },
    functions: { ...COMMON_FUNCTIONS, ...BUS_FUNCTIONS },
    sequences: BUS_SEQUENCES,
  },
  service: {
    tables: { ...COMMON_TABLES, ...SERVICE_TABLES },
    functions: { ...COMMON_FUNCTIONS, ...SERVICE_FUNCTIONS },
    sequences: SERVICE_SEQUENCES,
  },
};

/** The rights of the roles in a part of the schema. */
export function rightsOf(part: SchemaPart): RightsTable {
  return RIGHTS[part];
}

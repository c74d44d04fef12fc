/** Who has to act on an error. */
export type ErrorFamily =
  'Configuration' | 'Usage' | 'Schema' | 'Unavailable' | 'Fenced' | 'Handler' | 'Invariant';

/** One row of the table of errors: its family and whether a later try may succeed. */
export interface ErrorCodeEntry {
  readonly family: ErrorFamily;
  readonly retryable: boolean;
}

/** The one table of error codes. `docs/ERRORS.md` and the error classes are held against it by a test. */
export const ERROR_CODES = {
  CONFIGURATION_INVALID: { family: 'Configuration', retryable: false },
  TRANSACTION_REQUIRED: { family: 'Usage', retryable: false },
  MESSAGE_TOO_LARGE: { family: 'Usage', retryable: false },
  MESSAGE_INVALID: { family: 'Usage', retryable: false },
  PAYLOAD_NOT_SERIALIZABLE: { family: 'Usage', retryable: false },
  PAYLOAD_UNREADABLE: { family: 'Usage', retryable: false },
  PAYLOAD_INVALID: { family: 'Usage', retryable: false },
  PAYLOAD_VERSION_UNSUPPORTED: { family: 'Usage', retryable: false },
  SUBJECT_ERASED: { family: 'Usage', retryable: false },
  TOPIC_NAME_INVALID: { family: 'Usage', retryable: false },
  TOPIC_UNKNOWN: { family: 'Usage', retryable: false },
  ACCESS_DENIED: { family: 'Usage', retryable: false },
  OFFSET_OUT_OF_RANGE: { family: 'Usage', retryable: false },
  HANDLE_LENT: { family: 'Usage', retryable: false },
  NOT_RUNNING: { family: 'Usage', retryable: false },
  NOT_FOUND: { family: 'Usage', retryable: false },
  DEAD_LETTER_CLOSED: { family: 'Usage', retryable: false },
  HALF_MESSAGE_DECIDED: { family: 'Usage', retryable: false },
  ID_MISMATCH: { family: 'Usage', retryable: false },
  EFFECT_REQUEST_DIFFERS: { family: 'Usage', retryable: false },
  EFFECT_DECIDED: { family: 'Usage', retryable: false },
  RESULT_TOO_LARGE: { family: 'Usage', retryable: false },
  RESULT_NOT_SERIALIZABLE: { family: 'Usage', retryable: false },
  BARRIER_NAME_INVALID: { family: 'Usage', retryable: false },
  BARRIER_FORGOTTEN: { family: 'Usage', retryable: false },
  ID_OUTSIDE_WINDOW: { family: 'Usage', retryable: false },
  MESSAGE_ID_INVALID: { family: 'Usage', retryable: false },
  ISOLATION_LEVEL: { family: 'Usage', retryable: false },
  SAGA_INPUT_INVALID: { family: 'Usage', retryable: false },
  SAGA_SIGNAL_UNKNOWN: { family: 'Usage', retryable: false },
  SAGA_CALLBACK_REFUSED: { family: 'Usage', retryable: false },
  SAGA_ORDER_REFUSED: { family: 'Usage', retryable: false },
  MIGRATION_REQUIRED: { family: 'Schema', retryable: false },
  MIGRATION_CHANGED: { family: 'Schema', retryable: false },
  SCHEMA_TOO_NEW: { family: 'Schema', retryable: false },
  POSTGRES_TOO_OLD: { family: 'Schema', retryable: false },
  CLUSTER_CHANGED: { family: 'Schema', retryable: false },
  DATABASE_UNAVAILABLE: { family: 'Unavailable', retryable: true },
  TRANSACTION_CONFLICT: { family: 'Unavailable', retryable: true },
  MIGRATION_BLOCKED: { family: 'Unavailable', retryable: true },
  OUTBOX_FULL: { family: 'Unavailable', retryable: true },
  DELIVERY_TIMED_OUT: { family: 'Unavailable', retryable: true },
  BUFFER_FULL: { family: 'Unavailable', retryable: true },
  HALF_MESSAGE_OPEN: { family: 'Unavailable', retryable: false },
  PAYLOAD_VERSION_UNKNOWN: { family: 'Unavailable', retryable: true },
  REQUEST_TIMED_OUT: { family: 'Unavailable', retryable: true },
  SAGA_UNDER_WAY: { family: 'Unavailable', retryable: true },
  SAGA_VERSION_UNKNOWN: { family: 'Unavailable', retryable: true },
  LEASE_STORE_UNAVAILABLE: { family: 'Unavailable', retryable: true },
  EFFECT_IN_PROGRESS: { family: 'Unavailable', retryable: true },
  EFFECT_UNKNOWN: { family: 'Unavailable', retryable: true },
  FENCED: { family: 'Fenced', retryable: false },
  BARRIER_REFUSED: { family: 'Fenced', retryable: false },
  SAGA_COMMAND_OVER: { family: 'Fenced', retryable: false },
  EFFECT_UNDONE: { family: 'Fenced', retryable: false },
  EFFECT_REFUSED: { family: 'Handler', retryable: false },
  ENDPOINT_REFUSED: { family: 'Handler', retryable: false },
  LEASE_FORGED: { family: 'Handler', retryable: false },
  CONTENT_UNDECIPHERABLE: { family: 'Handler', retryable: false },
  SIGNATURE_INVALID: { family: 'Handler', retryable: false },
  REPLY_TOPIC_REFUSED: { family: 'Handler', retryable: false },
  REQUEST_FAILED: { family: 'Handler', retryable: false },
  HANDLER_TIMED_OUT: { family: 'Handler', retryable: true },
  HANDLER_RETRYABLE: { family: 'Handler', retryable: true },
  HANDLER_NOT_RETRYABLE: { family: 'Handler', retryable: false },
  LOG_CORRUPT_RECORD: { family: 'Invariant', retryable: false },
  DATABASE_REFUSED: { family: 'Invariant', retryable: false },
  INVARIANT_BROKEN: { family: 'Invariant', retryable: false },
} as const satisfies Record<string, ErrorCodeEntry>;

/** The stable code of an error of Waybill. */
export type ErrorCode = keyof typeof ERROR_CODES;

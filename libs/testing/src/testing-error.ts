/** Codes of {@link TestingError}. */
export type TestingErrorCode =
  | 'PLATFORM_UNSUPPORTED'
  | 'VERSION_UNKNOWN'
  | 'BINARIES_UNAVAILABLE'
  | 'BINARIES_UNUSABLE'
  | 'DATA_DIRECTORY_UNUSABLE'
  | 'DATA_DIRECTORY_IN_USE'
  | 'SETTING_RESERVED'
  | 'SERVER_START_FAILED'
  | 'SERVER_STOPPED'
  | 'SERVER_EXTERNAL'
  | 'SERVER_UNREACHABLE'
  | 'SERVER_TOO_OLD'
  | 'DATABASE_NAME_INVALID'
  | 'TEST_SERVER_MISSING'
  | 'REDIS_MISSING'
  | 'SCRIPT_FAILED'
  | 'SCENARIO_FAILED'
  | 'SERVICE_FAILED'
  | 'SERVICE_UNKNOWN'
  | 'SERVICES_BUSY'
  | 'SAGA_STATE_MISSED'
  | 'CRASH_POINT_INVALID'
  | 'CRASH_POINT_MISSED'
  | 'SUPERUSER_REQUIRED'
  | 'WAIT_TIMED_OUT'
  | 'PATIENCE_INVALID';

/** The error of this package; the message says what happened and what to do. */
export class TestingError extends Error {
  override readonly name = 'TestingError';

  constructor(
    readonly code: TestingErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The last sentence of every refusal to run the embedded server. */
export const USE_DATABASE_URL = 'Set DATABASE_URL to a PostgreSQL 14 or later.';

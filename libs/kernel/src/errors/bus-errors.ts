import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** The log holds passes of a service's outbox that the service's database does not know. */
export class SourceDivergedError extends WaybillError {
  override readonly name = 'SourceDivergedError';
  override readonly code = 'SOURCE_DIVERGED';
  override readonly retryable = false;

  /** @param what which pass of which service */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. The relay has stopped, so that nothing is published twice or under another meaning. If this is a copy of ` +
        `the service's database, take its bus away. Otherwise stop all publishers, run ` +
        `\`npx waybill relay reconcile\`, which reports what the log holds and the database does not, and start them again.`,
      details,
    );
  }
}

/** The log lacks what it had confirmed: it was restored, or has failed over to a replica that was behind. */
export class LogWentBackError extends WaybillError {
  override readonly name = 'LogWentBackError';
  override readonly code = 'LOG_WENT_BACK';
  override readonly retryable = false;

  /** @param what what is missing */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. The log was restored to an earlier state, or has failed over to a replica that was behind. What it had ` +
        'confirmed is missing, so nothing more is appended or read. Check that it is the right bus, then run ' +
        '`npx waybill bus heal` on it: docs/OPERATIONS.md, "The bus went back", says what that does.',
      details,
    );
  }
}

/** The service is bound to another bus than the one that it was given. */
export class BusMismatchError extends WaybillError {
  override readonly name = 'BusMismatchError';
  override readonly code = 'BUS_MISMATCH';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. Correct the bus's address. A service keeps its bus: what it has published and consumed is known by it.`,
      details,
    );
  }
}

/** A member wants to join a consumer group whose members belong to another service. */
export class GroupServiceMismatchError extends WaybillError {
  override readonly name = 'GroupServiceMismatchError';
  override readonly code = 'GROUP_SERVICE_MISMATCH';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. The members of a group share the database that holds its progress: with two, messages would be handled ` +
        `twice. Give the group another name, or correct the address of the service's database.`,
      details,
    );
  }
}

/** A service's database is not the one in which the last owner of a partition took it, or it was restored. */
export class ProgressWentBackError extends WaybillError {
  override readonly name = 'ProgressWentBackError';
  override readonly code = 'PROGRESS_WENT_BACK';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. The service's database was restored to an earlier state, or is another one. Nothing is consumed. Correct ` +
        `its address, or, if it was restored, run \`npx waybill group adopt\`.`,
      details,
    );
  }
}

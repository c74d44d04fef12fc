import { withoutSecrets } from '../safe-text.js';
import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** The given options are not usable. Lists every problem, not only the first. */
export class ConfigurationError extends WaybillError {
  override readonly name = 'ConfigurationError';
  override readonly code = 'CONFIGURATION_INVALID';
  override readonly retryable = false;
  /** Every problem found, one sentence each. */
  readonly problems: readonly string[];

  constructor(subject: string, problems: readonly string[], details?: ErrorDetails) {
    super(`${subject}: ${problems.join('; ')}.`, details);
    this.problems = problems.map(withoutSecrets);
  }
}

/** A message was published outside an open transaction. */
export class TransactionRequiredError extends WaybillError {
  override readonly name = 'TransactionRequiredError';
  override readonly code = 'TRANSACTION_REQUIRED';
  override readonly retryable = false;

  /**
   * @param details `instead` names what to pass if the driver or ORM is known: "the trx that …"; `remedy` what else to
   *   do, if passing another transaction does not help
   */
  constructor(
    what: string,
    details?: ErrorDetails & { readonly instead?: string; readonly remedy?: string },
  ) {
    const instead =
      details?.instead ?? 'a pg client after BEGIN, or what your ORM passes to its transaction callback';
    const remedy =
      details?.remedy ?? `Pass the open transaction that also writes the business rows: ${instead}`;
    super(`${what}. ${remedy}.`, details);
  }

  /**
   * The transaction is open but failed: it can only be rolled back.
   * @param first the error that failed it, if known
   * @param then the error that reports the failed transaction
   */
  static afterFailure(what: string, first?: Error, then?: unknown): TransactionRequiredError {
    const why = first === undefined ? '' : `: ${first.message}`;
    const cause = first ?? then;
    return new TransactionRequiredError(`${what}: the transaction has already failed${why}`, {
      remedy:
        'The error of that statement was caught: let it end the transaction, or protect the statement with a savepoint',
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** The login is restricted to certain topics or groups, and this is not one of them. */
export class AccessDeniedError extends WaybillError {
  override readonly name = 'AccessDeniedError';
  override readonly code = 'ACCESS_DENIED';
  override readonly retryable = false;

  /** @param what which login may not do what, to which topic or group */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. \`waybill acl\` lists what logins are restricted to; the owner of the schema changes it with \`waybill grants\`.`,
      details,
    );
  }
}

/** A component was used before its start or after its stop. */
export class NotRunningError extends WaybillError {
  override readonly name = 'NotRunningError';
  override readonly code = 'NOT_RUNNING';
  override readonly retryable = false;

  constructor(what: string) {
    super(`${what} is not running. Start it first, and do not use it after it is stopped.`);
  }
}

/** An operator named something that does not exist. */
export class NotFoundError extends WaybillError {
  override readonly name = 'NotFoundError';
  override readonly code = 'NOT_FOUND';
  override readonly retryable = false;

  /** @param what e.g. `dead letter 17` */
  constructor(what: string) {
    super(`There is no ${what}. List what exists.`);
  }
}

/** An operator decided about a dead letter that is no longer open. */
export class DeadLetterClosedError extends WaybillError {
  override readonly name = 'DeadLetterClosedError';
  override readonly code = 'DEAD_LETTER_CLOSED';
  override readonly retryable = false;

  constructor(
    readonly deadLetterId: number,
    readonly state: string,
  ) {
    super(
      `Dead letter ${deadLetterId} is ${state}; only an open one can be decided. ` +
        'A redriving one becomes open again if its handler fails again.',
    );
  }
}

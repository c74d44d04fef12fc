import { withoutSecrets } from '../safe-text.js';
import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** The options given are not usable. Lists every problem, not only the first. */
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

/** A message was to be published without an open transaction to publish it in. */
export class TransactionRequiredError extends WaybillError {
  override readonly name = 'TransactionRequiredError';
  override readonly code = 'TRANSACTION_REQUIRED';
  override readonly retryable = false;

  /**
   * @param details `instead` says what to pass where the driver or ORM is known: "the trx that …"; `remedy` what else to do,
   *   where it is not that another transaction has to be passed
   */
  constructor(
    what: string,
    details?: ErrorDetails & { readonly instead?: string; readonly remedy?: string },
  ) {
    const instead = details?.instead ?? 'a pg client after BEGIN, or what your ORM hands to its transaction';
    const remedy =
      details?.remedy ?? `Pass the open transaction that also writes the business rows: ${instead}`;
    super(`${what}. ${remedy}.`, details);
  }

  /**
   * The transaction is open, and can only be rolled back.
   * @param first the error that it has failed with, where that is known
   * @param then the error that says that it has failed
   */
  static afterFailure(what: string, first?: Error, then?: unknown): TransactionRequiredError {
    const why = first === undefined ? '' : `: ${first.message}`;
    const cause = first ?? then;
    return new TransactionRequiredError(`${what}: the transaction has already failed${why}`, {
      remedy:
        'The error of that statement was caught: let it end the transaction, or guard the statement by a savepoint',
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** The login is restricted to some topics or groups, and this is none of them. */
export class AccessDeniedError extends WaybillError {
  override readonly name = 'AccessDeniedError';
  override readonly code = 'ACCESS_DENIED';
  override readonly retryable = false;

  /** @param what which login may not do what, to which topic or group */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. \`waybill acl\` lists what logins are restricted to; the owner of the schema changes it by \`waybill grants\`.`,
      details,
    );
  }
}

/** Something was asked of a part that is not started, or is already stopped. */
export class NotRunningError extends WaybillError {
  override readonly name = 'NotRunningError';
  override readonly code = 'NOT_RUNNING';
  override readonly retryable = false;

  constructor(what: string) {
    super(`${what} is not running. Start it first, and use it only until it is stopped.`);
  }
}

/** An operator named something that is not there. */
export class NotFoundError extends WaybillError {
  override readonly name = 'NotFoundError';
  override readonly code = 'NOT_FOUND';
  override readonly retryable = false;

  /** @param what what was looked for, as `dead letter 17` */
  constructor(what: string) {
    super(`There is no ${what}. Look at the list for what there is.`);
  }
}

/** An operator decided about a dead letter that is not open any more. */
export class DeadLetterClosedError extends WaybillError {
  override readonly name = 'DeadLetterClosedError';
  override readonly code = 'DEAD_LETTER_CLOSED';
  override readonly retryable = false;

  constructor(
    readonly deadLetterId: number,
    readonly state: string,
  ) {
    super(
      `Dead letter ${deadLetterId} is ${state}, and only an open one can be decided about. ` +
        'One that is redriving is open again if its handler fails again.',
    );
  }
}

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

/** A message is larger than `maxMessageBytes`. */
export class MessageTooLargeError extends WaybillError {
  override readonly name = 'MessageTooLargeError';
  override readonly code = 'MESSAGE_TOO_LARGE';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, bytes: number, limit: number) {
    super(
      `Message ${messageId} to topic ${topic} has ${bytes} bytes, the limit is ${limit}. Store the large part ` +
        `elsewhere and publish a reference to it, or raise maxMessageBytes.`,
    );
  }
}

/** A field of a message is not usable: a header, key, id or partition. */
export class MessageInvalidError extends WaybillError {
  override readonly name = 'MessageInvalidError';
  override readonly code = 'MESSAGE_INVALID';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, problem: string) {
    super(`Message ${messageId} to topic ${topic} is refused: ${problem}.`);
  }
}

/** A payload cannot be turned into bytes. */
export class PayloadNotSerializableError extends WaybillError {
  override readonly name = 'PayloadNotSerializableError';
  override readonly code = 'PAYLOAD_NOT_SERIALIZABLE';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, problem: string, details?: ErrorDetails) {
    super(
      `The payload of message ${messageId} to topic ${topic} cannot be serialised: ${problem}. ` +
        `Publish plain JSON values, or give the topic a codec, such as extendedJson.`,
      details,
    );
  }
}

/** The bytes of a delivered message cannot be turned into a payload. */
export class PayloadUnreadableError extends WaybillError {
  override readonly name = 'PayloadUnreadableError';
  override readonly code = 'PAYLOAD_UNREADABLE';
  override readonly retryable = false;

  constructor(place: string, problem: string, details?: ErrorDetails) {
    super(`The payload of ${place} cannot be read: ${problem}. Check the producer's codec.`, details);
  }
}

/** A topic's name is outside `[A-Za-z0-9._-]{1,249}`. */
export class TopicNameInvalidError extends WaybillError {
  override readonly name = 'TopicNameInvalidError';
  override readonly code = 'TOPIC_NAME_INVALID';
  override readonly retryable = false;

  constructor(topic: string) {
    super(
      `The topic name ${JSON.stringify(String(topic).slice(0, 300))} is not usable. Use 1 to 249 characters ` +
        `of A-Z a-z 0-9 . _ -, and not "." or "..".`,
    );
  }
}

/** A topic is named that nobody has created. */
export class TopicUnknownError extends WaybillError {
  override readonly name = 'TopicUnknownError';
  override readonly code = 'TOPIC_UNKNOWN';
  override readonly retryable = false;

  constructor(topic: string, details?: ErrorDetails) {
    super(
      `Topic ${topic} does not exist. Create it: name it under \`topics\` in the module's options, or call ` +
        `log.createTopic, or run \`waybill topic create ${topic}\`.`,
      details,
    );
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

/** A position lies before the oldest record that is kept, or after the end of the log. */
export class OffsetOutOfRangeError extends WaybillError {
  override readonly name = 'OffsetOutOfRangeError';
  override readonly code = 'OFFSET_OUT_OF_RANGE';
  override readonly retryable = false;

  constructor(
    readonly topic: string,
    readonly partition: number,
    readonly offset: number,
    readonly startOffset: number,
    readonly endOffset: number,
  ) {
    super(
      `Offset ${offset} of ${topic}[${partition}] is outside the log, which holds ${startOffset} to ${endOffset}. ` +
        `Records were removed by retention before they were read, or the log was restored to an earlier state. ` +
        `Decide where to go on, and reset the group's position there.`,
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

/** A bug of Waybill, or a database edited by hand: something that must always hold does not. */
export class InvariantError extends WaybillError {
  override readonly name = 'InvariantError';
  override readonly code = 'INVARIANT_BROKEN';
  override readonly retryable = false;

  constructor(why: string, details?: ErrorDetails) {
    super(`${why}. This is a defect of Waybill or a database changed by hand; please report it.`, details);
  }
}

/** Throws {@link InvariantError} unless `condition` holds. */
export function invariant(condition: unknown, why: string): asserts condition {
  if (!condition) throw new InvariantError(why);
}

/** Stored bytes are not the record batch they should be. */
export class CorruptRecordError extends WaybillError {
  override readonly name = 'CorruptRecordError';
  override readonly code = 'LOG_CORRUPT_RECORD';
  override readonly retryable = false;

  /** @param message what is wrong with which batch, and what to do */
  constructor(message: string, details?: ErrorDetails) {
    super(message, details);
  }
}

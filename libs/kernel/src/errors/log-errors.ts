import { type ErrorDetails, WaybillError } from './waybill-error.js';

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

/** The topic does not exist. */
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

/** A position is before the oldest record that is kept, or after the end of the log. */
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
        `Retention removed records before they were read, or the log was restored to an earlier state. ` +
        `Decide where to continue, and reset the group's position there.`,
    );
  }
}

/** Stored bytes are not a valid record batch. */
export class CorruptRecordError extends WaybillError {
  override readonly name = 'CorruptRecordError';
  override readonly code = 'LOG_CORRUPT_RECORD';
  override readonly retryable = false;

  /** @param message what is wrong with which batch, and what to do */
  constructor(message: string, details?: ErrorDetails) {
    super(message, details);
  }
}

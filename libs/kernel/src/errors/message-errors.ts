import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A message is larger than `maxMessageBytes`. */
export class MessageTooLargeError extends WaybillError {
  override readonly name = 'MessageTooLargeError';
  override readonly code = 'MESSAGE_TOO_LARGE';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, bytes: number, limit: number) {
    super(
      `Message ${messageId} to topic ${topic} has ${bytes} bytes; the limit is ${limit}. Store the large part ` +
        `elsewhere and publish a reference to it, or raise maxMessageBytes.`,
    );
  }
}

/** A field of a message is not valid: a header, key, id or partition. */
export class MessageInvalidError extends WaybillError {
  override readonly name = 'MessageInvalidError';
  override readonly code = 'MESSAGE_INVALID';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, problem: string) {
    super(`Message ${messageId} to topic ${topic} was refused: ${problem}.`);
  }
}

/** A payload cannot be serialised. */
export class PayloadNotSerializableError extends WaybillError {
  override readonly name = 'PayloadNotSerializableError';
  override readonly code = 'PAYLOAD_NOT_SERIALIZABLE';
  override readonly retryable = false;

  constructor(messageId: string, topic: string, problem: string, details?: ErrorDetails) {
    super(
      `The payload of message ${messageId} to topic ${topic} cannot be serialised: ${problem}. ` +
        `Publish plain JSON values, or give the topic a codec, e.g. extendedJson.`,
      details,
    );
  }
}

/** The bytes of a delivered message cannot be deserialised. */
export class PayloadUnreadableError extends WaybillError {
  override readonly name = 'PayloadUnreadableError';
  override readonly code = 'PAYLOAD_UNREADABLE';
  override readonly retryable = false;

  constructor(location: string, problem: string, details?: ErrorDetails) {
    super(`The payload of ${location} cannot be read: ${problem}. Check the producer's codec.`, details);
  }
}

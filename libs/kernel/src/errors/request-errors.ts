import { show } from '../options.js';
import { WaybillError } from './waybill-error.js';

/** Nobody has answered a request in time. Whether it has been handled, or will be, is not known. */
export class RequestTimedOutError extends WaybillError {
  override readonly name = 'RequestTimedOutError';
  override readonly code = 'REQUEST_TIMED_OUT';
  override readonly retryable = true;

  constructor(
    readonly topic: string,
    readonly requestId: string,
    readonly afterMs: number,
  ) {
    super(
      `Request ${requestId} to ${topic} was not answered within ${afterMs} ms. It may be handled all the same: look ` +
        'whether a service with a @MessagePattern handler for it runs, and give its handler a guard before you ask again.',
    );
  }
}

/** What is told of an error to anyone who asked: never its stack. */
export interface RemoteError {
  /** The error's class, as `BadRequestException`. */
  readonly name: string;
  readonly message: string;
  /** What programs branch on, where the error has a code. */
  readonly code?: string | number;
  /** An HTTP status, or what stood for it. */
  readonly status?: string | number;
  /** By this id the service that failed finds the reason, in its log and among its dead letters. */
  readonly correlationId?: string;
  /** What the error was made to tell its caller, as JSON: `getError()` of an RpcException, `getResponse()` of an HttpException. */
  readonly details?: unknown;
}

/** A request was answered, and not well. */
export class RequestFailedError extends WaybillError {
  override readonly name = 'RequestFailedError';
  override readonly code = 'REQUEST_FAILED';
  override readonly retryable = false;

  constructor(
    readonly topic: string,
    readonly requestId: string,
    /** `rejected`: the business said no; `failed`: it is a dead letter. */
    readonly status: string,
    /** What the other side says: `SagaRejectedError`'s reason, or class and message of its error. */
    readonly reason: string,
    /** The error itself, as the other side describes it; undefined when it does not. */
    readonly remote?: RemoteError,
  ) {
    super(
      `Request ${requestId} to ${topic} has ${status === 'rejected' ? 'been rejected' : 'failed'}: ${reason}.`,
    );
  }
}

/** A message asks for an answer where none may go. Its handler does not run. */
export class ReplyTopicRefusedError extends WaybillError {
  override readonly name = 'ReplyTopicRefusedError';
  override readonly code = 'REPLY_TOPIC_REFUSED';
  override readonly retryable = false;

  constructor(message: string, topic: string, why: string) {
    super(
      `${message} asks for its answer in topic ${show(topic)}, and ${why}. Its handler did not run. Look who sent it: ` +
        "Waybill's own clients and sagas name a topic that is there.",
    );
  }
}

/** A message is not signed by a key that the service knows. Its handler does not run. */
export class SignatureInvalidError extends WaybillError {
  override readonly name = 'SignatureInvalidError';
  override readonly code = 'SIGNATURE_INVALID';
  override readonly retryable = false;

  constructor(location: string, why: string) {
    super(
      `The message at ${location} was not handled, because ${why}. Look who sent it; where it is one of yours, give this ` +
        'service the key of its sender in signing.keys and redrive it.',
    );
  }
}

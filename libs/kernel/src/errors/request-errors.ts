import { show } from '../options.js';
import { WaybillError } from './waybill-error.js';

/** A request received no reply in time. Whether it has been handled, or will be, is not known. */
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
      `Request ${requestId} to ${topic} received no reply within ${afterMs} ms. It may still be handled: check that ` +
        'a service with a @MessagePattern handler for it is running, and give the handler a guard before you send it again.',
    );
  }
}

/** What a requester is told about an error: never its stack. */
export interface RemoteError {
  /** The error's class, e.g. `BadRequestException`. */
  readonly name: string;
  readonly message: string;
  /** The error's code, if it has one; what programs branch on. */
  readonly code?: string | number;
  /** An HTTP status, or what the error has instead. */
  readonly status?: string | number;
  /** The id under which the failed service's log and dead letters hold the reason. */
  readonly correlationId?: string;
  /** The error's body for its caller, as JSON: `getError()` of an RpcException, `getResponse()` of an HttpException. */
  readonly details?: unknown;
}

/** The reply to a request is an error. */
export class RequestFailedError extends WaybillError {
  override readonly name = 'RequestFailedError';
  override readonly code = 'REQUEST_FAILED';
  override readonly retryable = false;

  constructor(
    readonly topic: string,
    readonly requestId: string,
    /** `rejected`: refused for a business reason; `failed`: it is a dead letter. */
    readonly status: string,
    /** The other side's reason: that of `SagaRejectedError`, or class and message of its error. */
    readonly reason: string,
    /** The error itself, as the other side describes it; undefined when it does not. */
    readonly remote?: RemoteError,
  ) {
    super(
      `Request ${requestId} to ${topic} ${status === 'rejected' ? 'was rejected' : 'failed'}: ${reason}.`,
    );
  }
}

/** A message asks for a reply to a topic that may not receive one. Its handler does not run. */
export class ReplyTopicRefusedError extends WaybillError {
  override readonly name = 'ReplyTopicRefusedError';
  override readonly code = 'REPLY_TOPIC_REFUSED';
  override readonly retryable = false;

  constructor(message: string, topic: string, why: string) {
    super(
      `${message} asks for its reply in topic ${show(topic)}, and ${why}. Its handler did not run. Find out who sent it: ` +
        "Waybill's own clients and sagas name a topic that exists.",
    );
  }
}

/** A message is not signed with a key that the service knows. Its handler does not run. */
export class SignatureInvalidError extends WaybillError {
  override readonly name = 'SignatureInvalidError';
  override readonly code = 'SIGNATURE_INVALID';
  override readonly retryable = false;

  constructor(location: string, why: string) {
    super(
      `The message at ${location} was not handled: ${why}. Find out who sent it; if it is yours, give this ` +
        "service its sender's key in signing.keys and redrive it.",
    );
  }
}

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
    /** What the other side says: `SagaRejection`'s reason, or class and message of its error. */
    readonly reason: string,
  ) {
    super(
      `Request ${requestId} to ${topic} has ${status === 'rejected' ? 'been rejected' : 'failed'}: ${reason}.`,
    );
  }
}

import { WaybillError } from './waybill-error.js';

/** A saga under way keeps to a version of its definition that this process does not have. */
export class SagaVersionUnknownError extends WaybillError {
  override readonly name = 'SagaVersionUnknownError';
  override readonly code = 'SAGA_VERSION_UNKNOWN';
  override readonly retryable = true;

  constructor(
    readonly type: string,
    readonly version: number,
    known: readonly number[],
  ) {
    const here = known.length === 0 ? 'none of its versions' : `version ${known.join(', ')}`;
    super(
      `This process has no version ${version} of saga ${type}; it has ${here}. Sagas keep to the version that they began ` +
        'with: register it beside the newer one until they have ended.',
    );
  }
}

/** A saga has not come to its end while its caller waited; it goes on all the same. */
export class SagaUnderWayError extends WaybillError {
  override readonly name = 'SagaUnderWayError';
  override readonly code = 'SAGA_UNDER_WAY';
  override readonly retryable = true;

  constructor(
    readonly sagaId: string,
    readonly type: string,
    readonly key: string,
    readonly state: string,
    readonly afterMs: number,
  ) {
    super(
      `Saga ${sagaId} (${type}) is ${state} after ${afterMs} ms. It goes on whether anybody waits or not: ask ` +
        'again with the same key, and look at it by `waybill saga show` when it is STUCK.',
    );
  }
}

/** An operator's order for a saga was not carried out. */
export class SagaOrderRefusedError extends WaybillError {
  override readonly name = 'SagaOrderRefusedError';
  override readonly code = 'SAGA_ORDER_REFUSED';
  override readonly retryable = false;

  constructor(
    readonly sagaId: string,
    why: string,
  ) {
    super(
      `The order for saga ${sagaId} was not carried out: ${why}. Look at the saga again, and decide anew.`,
    );
  }
}

/** What an endpoint answered later to a saga's HTTP call was not taken. */
export class SagaCallbackRefusedError extends WaybillError {
  override readonly name = 'SagaCallbackRefusedError';
  override readonly code = 'SAGA_CALLBACK_REFUSED';
  override readonly retryable = false;

  constructor(
    /** `forged`: no service whose sagas are here has made the token. `stale`: its call is not awaited any more. */
    readonly kind: 'forged' | 'stale',
    /** Null for a token that is none. */
    readonly sagaId: string | null,
    why: string,
  ) {
    const advice =
      kind === 'forged'
        ? 'Pass on the header waybill-callback of the call as it was.'
        : 'What the endpoint has done may have to be undone by hand: look at the saga by `waybill saga show`.';
    super(`The answer to a call of saga ${sagaId ?? '(none is named)'} was refused: ${why}. ${advice}`);
  }
}

/** A saga's HTTP command goes to a host that may not be called. It was not sent. */
export class EndpointRefusedError extends WaybillError {
  override readonly name = 'EndpointRefusedError';
  override readonly code = 'ENDPOINT_REFUSED';
  override readonly retryable = false;

  constructor(
    readonly host: string,
    why: string,
  ) {
    super(`${host} was not called: ${why}.`);
  }
}

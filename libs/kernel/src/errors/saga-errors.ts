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

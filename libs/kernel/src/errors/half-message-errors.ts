import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A half message was to be committed or rolled back, but has already been decided the other way. */
export class HalfMessageDecidedError extends WaybillError {
  override readonly name = 'HalfMessageDecidedError';
  override readonly code = 'HALF_MESSAGE_DECIDED';
  override readonly retryable = false;

  constructor(
    readonly halfId: string,
    /** `committed` or `rolled-back`. */
    readonly state: string,
    /** `producer`, `check`, `tombstone`, `xact-status`, or an operator's name. */
    readonly decidedBy: string,
  ) {
    super(
      `Half message ${halfId} is ${state}, decided by ${decidedBy}, and the decision is final. If its local work ` +
        'has taken effect, the check was wrong: make it return `unknown` while the work may still succeed.',
    );
  }
}

/** A half message is prepared and its outcome is not known here; check-back decides it. */
export class HalfMessageOpenError extends WaybillError {
  override readonly name = 'HalfMessageOpenError';
  override readonly code = 'HALF_MESSAGE_OPEN';
  override readonly retryable = false;

  constructor(
    readonly halfId: string,
    why: string,
    details?: ErrorDetails,
  ) {
    super(
      `Half message ${halfId} is not decided yet: ${why}. The check-back decides it; do not repeat its local work.`,
      details,
    );
  }
}

/** An operation reached a barrier after its tombstone, or for the second time; its transaction must not commit. */
export class BarrierRefusedError extends WaybillError {
  override readonly name = 'BarrierRefusedError';
  override readonly code = 'BARRIER_REFUSED';
  override readonly retryable = false;

  constructor(what: string) {
    super(
      `The barrier refuses ${what}: it was cancelled before it arrived, or it has already happened. Roll its transaction ` +
        'back; nothing else needs to be done.',
    );
  }
}

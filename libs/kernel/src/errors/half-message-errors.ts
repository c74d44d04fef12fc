import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A half message was to be committed or rolled back that has been decided the other way. */
export class HalfMessageDecidedError extends WaybillError {
  override readonly name = 'HalfMessageDecidedError';
  override readonly code = 'HALF_MESSAGE_DECIDED';
  override readonly retryable = false;

  constructor(
    readonly halfId: string,
    /** What it is: `committed` or `rolled-back`. */
    readonly state: string,
    /** `producer`, `check`, `tombstone`, `xact-status`, or an operator's name. */
    readonly decidedBy: string,
  ) {
    super(
      `Half message ${halfId} is ${state}, decided by ${decidedBy}, and cannot be decided otherwise. If its local work ` +
        'has taken effect, the check was wrong: make it answer `unknown` while the work may still succeed.',
    );
  }
}

/** A half message is prepared and its end is not known here; check-back decides about it. */
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
      `Half message ${halfId} is not decided yet: ${why}. It is decided by check-back; do not do its local work again.`,
      details,
    );
  }
}

/** An operation came to a barrier behind its tombstone, or for the second time; its transaction must not commit. */
export class BarrierRefusedError extends WaybillError {
  override readonly name = 'BarrierRefusedError';
  override readonly code = 'BARRIER_REFUSED';
  override readonly retryable = false;

  constructor(what: string) {
    super(
      `The barrier refuses ${what}: it was given up before it came, or it has happened already. Its transaction is to be ` +
        'rolled back; nothing else needs to be done.',
    );
  }
}

import { keyName } from '../safe-text.js';
import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Somebody is at this effect right now, or was a moment ago and has not said how it ended. */
export class EffectInProgressError extends WaybillError {
  override readonly name = 'EffectInProgressError';
  override readonly code = 'EFFECT_IN_PROGRESS';
  override readonly retryable = true;

  constructor(
    what: string,
    /** When to try again, in milliseconds from now: where there is a lease, when it ends unless it is extended. */
    readonly retryAfterMs: number,
    details?: ErrorDetails,
  ) {
    super(
      `${what} is in progress elsewhere. Try again in ${Math.ceil(retryAfterMs)} ms: it has its result then, or is ` +
        'free, unless it takes longer.',
      details,
    );
  }
}

/** The store that leases are kept in cannot be reached, so that it cannot be known who may do the work. */
export class LeaseStoreUnavailableError extends WaybillError {
  override readonly name = 'LeaseStoreUnavailableError';
  override readonly code = 'LEASE_STORE_UNAVAILABLE';
  override readonly retryable = true;

  constructor(doing: string, details?: ErrorDetails) {
    super(
      `${doing}: Redis cannot be reached, and without it nobody knows who may do the work. Try again later, or choose ` +
        'PostgreSQL to stand in for it.',
      details,
    );
  }
}

/** What Redis says of guarded work was not written by this service. */
export class LeaseForgedError extends WaybillError {
  override readonly name = 'LeaseForgedError';
  override readonly code = 'LEASE_FORGED';
  override readonly retryable = false;

  /**
   * @param key in Redis
   * @param why how it shows
   */
  constructor(
    readonly key: string,
    why: string,
    details?: ErrorDetails,
  ) {
    super(
      `What stands in Redis under ${key} is not of this service (${why}): somebody else writes there, or the keys of the ` +
        'leases were removed. It was not believed, and the work was not run. Find out who has access to Redis and whether ' +
        'the work was done, then delete the key; with withoutRedis: postgres, PostgreSQL decides.',
      details,
    );
  }
}

/** One id was used for two different things. */
export class IdMismatchError extends WaybillError {
  override readonly name = 'IdMismatchError';
  override readonly code = 'ID_MISMATCH';
  override readonly retryable = false;

  constructor(what: string) {
    super(`${what} was used before, with another content. Use a new id for what is new.`);
  }
}

/** The key of an effect was used before, for something else that was asked for. */
export class EffectRequestDiffersError extends WaybillError {
  override readonly name = 'EffectRequestDiffersError';
  override readonly code = 'EFFECT_REQUEST_DIFFERS';
  override readonly retryable = false;

  constructor(readonly key: string) {
    super(
      `The key of effect ${keyName(key)} was used before with another request (another amount, say). Nothing was attempted, ` +
        'and the outcome of the first is not given out for this one. Use a new key for what is new.',
    );
  }
}

/** An operator decided about an effect that is decided already. */
export class EffectDecidedError extends WaybillError {
  override readonly name = 'EffectDecidedError';
  override readonly code = 'EFFECT_DECIDED';
  override readonly retryable = false;

  constructor(
    readonly key: string,
    readonly state: string,
  ) {
    super(
      `Effect ${keyName(key)} is ${state} already, and was left so. Look at it by \`waybill effect show\`.`,
    );
  }
}

/** A result is too large to be kept for duplicates. */
export class ResultTooLargeError extends WaybillError {
  override readonly name = 'ResultTooLargeError';
  override readonly code = 'RESULT_TOO_LARGE';
  override readonly retryable = false;

  constructor(what: string, bytes: number, limit: number) {
    super(
      `The result of ${what} has ${bytes} bytes as JSON, the limit is ${limit}. Return a reference to it, or raise ` +
        'maxResultBytes.',
    );
  }
}

/** A result cannot be turned into JSON, and so cannot be kept for duplicates. */
export class ResultNotSerializableError extends WaybillError {
  override readonly name = 'ResultNotSerializableError';
  override readonly code = 'RESULT_NOT_SERIALIZABLE';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `The result of ${what} is no JSON (a function, a cycle, a BigInt). Return plain JSON values.`,
      details,
    );
  }
}

/** The name of an operation cannot be guarded by a barrier. */
export class BarrierNameError extends WaybillError {
  override readonly name = 'BarrierNameError';
  override readonly code = 'BARRIER_NAME_INVALID';
  override readonly retryable = false;

  /** @param problem what is wrong with which name, and what to do, one sentence each */
  constructor(problem: string, details?: ErrorDetails) {
    super(problem, details);
  }
}

/** What an operation takes back is so old that it cannot be known whether it has happened. */
export class BarrierForgottenError extends WaybillError {
  override readonly name = 'BarrierForgottenError';
  override readonly code = 'BARRIER_FORGOTTEN';
  override readonly retryable = false;

  /** @param problem which operation takes back what, and how old that is */
  constructor(problem: string, details?: ErrorDetails) {
    super(
      `It cannot be known whether there is anything to take back: ${problem}. Nothing was done. Find out by hand whether the ` +
        'action has happened, take it back if it has, and tell the saga by `waybill saga skip`.',
      details,
    );
  }
}

/** An effect outside of any database was begun, and it cannot be told yet whether it has happened. */
export class EffectUnknownError extends WaybillError {
  override readonly name = 'EffectUnknownError';
  override readonly code = 'EFFECT_UNKNOWN';
  override readonly retryable = true;

  constructor(
    readonly key: string,
    why: string,
    details?: ErrorDetails,
  ) {
    super(
      `It is not known whether effect ${keyName(key)} has happened: ${why}. Try again later under the same key: it is asked for ` +
        'before anything is attempted again.',
      details,
    );
  }
}

/** Anyone who does the effect has said no, for good. Thrown by an attempt to say so, and to every later caller. */
export class EffectRefusedError extends WaybillError {
  override readonly name = 'EffectRefusedError';
  override readonly code = 'EFFECT_REFUSED';
  override readonly retryable = false;

  /** @param reason why, in the words of anyone who refuses: `the card was declined` */
  constructor(
    readonly reason: string,
    details?: ErrorDetails,
  ) {
    super(`The effect was refused: ${reason}. A new attempt needs a key of its own.`, details);
  }
}

/** An effect was to be done that has been undone, or given up before it was attempted. */
export class EffectUndoneError extends WaybillError {
  override readonly name = 'EffectUndoneError';
  override readonly code = 'EFFECT_UNDONE';
  override readonly retryable = false;

  constructor(
    readonly key: string,
    why: string,
  ) {
    super(`Effect ${keyName(key)} is not to be done: ${why}.`);
  }
}

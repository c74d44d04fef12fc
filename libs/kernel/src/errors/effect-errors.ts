import { keyName } from '../safe-text.js';
import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Another caller is attempting this effect, or did so a moment ago and has not reported the outcome. */
export class EffectInProgressError extends WaybillError {
  override readonly name = 'EffectInProgressError';
  override readonly code = 'EFFECT_IN_PROGRESS';
  override readonly retryable = true;

  constructor(
    what: string,
    /** When to try again, in milliseconds from now: if a lease exists, when it ends unless it is extended. */
    readonly retryAfterMs: number,
    details?: ErrorDetails,
  ) {
    super(
      `${what} is in progress elsewhere. Try again in ${Math.ceil(retryAfterMs)} ms: by then it has a result or is ` +
        'free, unless it takes longer.',
      details,
    );
  }
}

/** The lease store cannot be reached, so it is not known who may do the work. */
export class LeaseStoreUnavailableError extends WaybillError {
  override readonly name = 'LeaseStoreUnavailableError';
  override readonly code = 'LEASE_STORE_UNAVAILABLE';
  override readonly retryable = true;

  constructor(doing: string, details?: ErrorDetails) {
    super(
      `${doing}: Redis cannot be reached, so it is not known who may do the work. Try again later, or choose ` +
        'PostgreSQL as the fallback.',
      details,
    );
  }
}

/** The entry of guarded work in Redis was not written by this service. */
export class LeaseForgedError extends WaybillError {
  override readonly name = 'LeaseForgedError';
  override readonly code = 'LEASE_FORGED';
  override readonly retryable = false;

  /**
   * @param key the Redis key
   * @param why the evidence
   */
  constructor(
    readonly key: string,
    why: string,
    details?: ErrorDetails,
  ) {
    super(
      `The Redis entry ${key} was not written by this service (${why}): another program writes there, or the keys of the ` +
        'leases were removed. The entry was ignored and the work was not run. Find out who has access to Redis and whether ' +
        'the work was done, then delete the key. With withoutRedis: postgres, PostgreSQL decides.',
      details,
    );
  }
}

/** One id was used for two different requests. */
export class IdMismatchError extends WaybillError {
  override readonly name = 'IdMismatchError';
  override readonly code = 'ID_MISMATCH';
  override readonly retryable = false;

  constructor(what: string) {
    super(`${what} was used before with different content. Use a new id for new content.`);
  }
}

/** The key of an effect was used before with a different request. */
export class EffectRequestDiffersError extends WaybillError {
  override readonly name = 'EffectRequestDiffersError';
  override readonly code = 'EFFECT_REQUEST_DIFFERS';
  override readonly retryable = false;

  constructor(readonly key: string) {
    super(
      `The key of effect ${keyName(key)} was used before with a different request (e.g. another amount). Nothing was attempted, ` +
        'and the outcome of the first request is not returned for this one. Use a new key for a new request.',
    );
  }
}

/** An operator decided about an effect that is already decided. */
export class EffectDecidedError extends WaybillError {
  override readonly name = 'EffectDecidedError';
  override readonly code = 'EFFECT_DECIDED';
  override readonly retryable = false;

  constructor(
    readonly key: string,
    readonly state: string,
  ) {
    super(
      `Effect ${keyName(key)} is already ${state} and was not changed. Inspect it with \`waybill effect show\`.`,
    );
  }
}

/** A result is too large to be stored for duplicates. */
export class ResultTooLargeError extends WaybillError {
  override readonly name = 'ResultTooLargeError';
  override readonly code = 'RESULT_TOO_LARGE';
  override readonly retryable = false;

  constructor(what: string, bytes: number, limit: number) {
    super(
      `The result of ${what} has ${bytes} bytes as JSON; the limit is ${limit}. Return a reference to it, or raise ` +
        'maxResultBytes.',
    );
  }
}

/** A result cannot be serialised to JSON, and so cannot be stored for duplicates. */
export class ResultNotSerializableError extends WaybillError {
  override readonly name = 'ResultNotSerializableError';
  override readonly code = 'RESULT_NOT_SERIALIZABLE';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `The result of ${what} is not JSON (a function, a cycle, a BigInt). Return plain JSON values.`,
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

/** The action that an operation undoes is so old that it is no longer known whether it has happened. */
export class BarrierForgottenError extends WaybillError {
  override readonly name = 'BarrierForgottenError';
  override readonly code = 'BARRIER_FORGOTTEN';
  override readonly retryable = false;

  /** @param problem which operation undoes which action, and how old that is */
  constructor(problem: string, details?: ErrorDetails) {
    super(
      `It is not known whether there is anything to undo: ${problem}. Nothing was done. Find out by hand whether the ` +
        'action has happened, undo it if it has, and then run `waybill saga skip`.',
      details,
    );
  }
}

/** An external effect was begun, and it is not yet known whether it has happened. */
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
      `It is not known whether effect ${keyName(key)} has happened: ${why}. Try again later with the same key: the service is asked ` +
        'about it before anything is attempted again.',
      details,
    );
  }
}

/** The effect was refused for good. Thrown by an attempt to report that, and to every later caller. */
export class EffectRefusedError extends WaybillError {
  override readonly name = 'EffectRefusedError';
  override readonly code = 'EFFECT_REFUSED';
  override readonly retryable = false;

  /** @param reason as the refusing service states it, e.g. `the card was declined` */
  constructor(
    readonly reason: string,
    details?: ErrorDetails,
  ) {
    super(`The effect was refused: ${reason}. A new attempt needs a new key.`, details);
  }
}

/** The effect has been undone, or given up before it was attempted. */
export class EffectUndoneError extends WaybillError {
  override readonly name = 'EffectUndoneError';
  override readonly code = 'EFFECT_UNDONE';
  override readonly retryable = false;

  constructor(
    readonly key: string,
    why: string,
  ) {
    super(`Effect ${keyName(key)} must not be done: ${why}.`);
  }
}

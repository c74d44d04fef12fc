import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A message's id is outside the guard's window: it may have taken effect, and its row may be gone. It did not run. */
export class IdOutsideWindowError extends WaybillError {
  override readonly name = 'IdOutsideWindowError';
  override readonly code = 'ID_OUTSIDE_WINDOW';
  override readonly retryable = false;
  /** The time that was compared with the window: that of the message's receipt if known, else that of its id. */
  readonly judgedAt: Date;

  constructor(
    readonly consumer: string,
    readonly messageId: string,
    times: { readonly judgedMs: number; readonly nowMs: number; readonly windowMs: number },
  ) {
    const judgedAt = new Date(times.judgedMs);
    const ahead = times.judgedMs > times.nowMs;
    super(
      `Message ${messageId} for ${consumer} is from ${judgedAt.toISOString()}, and the guard's window is the last ` +
        `${times.windowMs} ms: it is no longer known whether it has taken effect, so it was not run. ` +
        (ahead
          ? 'Correct the clock of the machine that made the id.'
          : 'Check whether its effect exists; if not, send it with a new id. If this happens often, widen the window.'),
    );
    this.judgedAt = judgedAt;
  }
}

/** A message has no id, or one that a guard cannot store. */
export class MessageIdInvalidError extends WaybillError {
  override readonly name = 'MessageIdInvalidError';
  override readonly code = 'MESSAGE_ID_INVALID';
  override readonly retryable = false;

  /** @param problem e.g. `it has no id` */
  constructor(consumer: string, problem: string) {
    super(
      `A message for ${consumer} cannot be identified: ${problem}. Have its producer send an id of 1 to 255 ` +
        'characters, the same each time it sends the message, or name the field that identifies it in the option `id`.',
    );
  }
}

/** A guard was used in a transaction that cannot see what other transactions have committed since it began. */
export class IsolationLevelError extends WaybillError {
  override readonly name = 'IsolationLevelError';
  override readonly code = 'ISOLATION_LEVEL';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(`${what}. Begin the transaction with isolation level READ COMMITTED.`, details);
  }
}

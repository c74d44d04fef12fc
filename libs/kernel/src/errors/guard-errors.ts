import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A message's id lies outside the guard's window: it may have taken effect, and its row may be gone. It did not run. */
export class IdOutsideWindowError extends WaybillError {
  override readonly name = 'IdOutsideWindowError';
  override readonly code = 'ID_OUTSIDE_WINDOW';
  override readonly retryable = false;
  /** Time by which the message was judged: of its receipt where that is known, else of its id. */
  readonly judgedAt: Date;

  constructor(
    readonly consumer: string,
    readonly messageId: string,
    times: { readonly judgedMs: number; readonly nowMs: number; readonly windowMs: number },
  ) {
    const judgedAt = new Date(times.judgedMs);
    const ahead = times.judgedMs > times.nowMs;
    super(
      `Message ${messageId} for ${consumer} is of ${judgedAt.toISOString()}, and the guard's window is the last ` +
        `${times.windowMs} ms: whether it has taken effect already is not known any more, so it was not run. ` +
        (ahead
          ? 'Correct the clock of the machine that made the id.'
          : 'Look whether its effect is there; if it is not, send it under a new id. Widen the window where that is usual.'),
    );
    this.judgedAt = judgedAt;
  }
}

/** A message has no id, or none that a guard can keep. */
export class MessageIdInvalidError extends WaybillError {
  override readonly name = 'MessageIdInvalidError';
  override readonly code = 'MESSAGE_ID_INVALID';
  override readonly retryable = false;

  /** @param problem what is wrong, as `it has no id` */
  constructor(consumer: string, problem: string) {
    super(
      `A message for ${consumer} cannot be told from others: ${problem}. Have its producer send an id of 1 to 255 ` +
        'characters, the same whenever it sends the message again, or say by the option `id` which of its fields names it.',
    );
  }
}

/** A guard was used in a transaction that cannot see what others have committed since it began. */
export class IsolationLevelError extends WaybillError {
  override readonly name = 'IsolationLevelError';
  override readonly code = 'ISOLATION_LEVEL';
  override readonly retryable = false;

  constructor(what: string, details?: ErrorDetails) {
    super(`${what}. Begin the transaction with isolation level READ COMMITTED.`, details);
  }
}

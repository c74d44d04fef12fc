import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** The database cannot be reached, or it broke the connection. Loops back off and retry. */
export class DatabaseUnavailableError extends WaybillError {
  override readonly name = 'DatabaseUnavailableError';
  override readonly code = 'DATABASE_UNAVAILABLE';
  override readonly retryable = true;

  /** @param details `remedy`: what to do, if more is known than that the server does not respond */
  constructor(what: string, details: ErrorDetails & { readonly remedy?: string | undefined } = {}) {
    const remedy =
      details.remedy ?? 'Check that the server is running and that the connection string is correct';
    super(`${what}. ${remedy}; Waybill's own loops retry by themselves.`, details);
  }
}

/**
 * The database rolled a transaction back because of concurrent ones: serialization failure, deadlock or lock time-out.
 */
export class TransactionConflictError extends WaybillError {
  override readonly name = 'TransactionConflictError';
  override readonly code = 'TRANSACTION_CONFLICT';
  override readonly retryable = true;

  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. The transaction was rolled back because of a conflict with concurrent ones; run it again.`,
      details,
    );
  }
}

/** A record could not be appended within `deliveryTimeoutMs`. */
export class DeliveryTimedOutError extends WaybillError {
  override readonly name = 'DeliveryTimedOutError';
  override readonly code = 'DELIVERY_TIMED_OUT';
  override readonly retryable = true;

  constructor(topic: string, afterMs: number, details?: ErrorDetails) {
    super(
      `A record for topic ${topic} was not acknowledged within ${afterMs} ms. It may still have been written; ` +
        `send it again only if its consumers are idempotent.`,
      details,
    );
  }
}

/** More messages of a topic wait in the outbox than its limit allows: the relay does not keep up or is not running. */
export class OutboxFullError extends WaybillError {
  override readonly name = 'OutboxFullError';
  override readonly code = 'OUTBOX_FULL';
  override readonly retryable = true;

  /** @param problem how much is waiting, and the limit */
  constructor(topic: string, problem: string, details?: ErrorDetails) {
    super(
      `A message to topic ${topic} was refused: ${problem}. Check that a relay is running and which service publishes that much (waybill outbox ` +
        'backlog), and publish again later; or raise the limit with `waybill topic set`.',
      details,
    );
  }
}

/** More bytes wait to be appended than `bufferBytes` allows. */
export class BufferFullError extends WaybillError {
  override readonly name = 'BufferFullError';
  override readonly code = 'BUFFER_FULL';
  override readonly retryable = true;

  constructor(topic: string, limit: number) {
    super(
      `A record for topic ${topic} was refused: ${limit} bytes wait to be appended. Await earlier sends, or raise bufferBytes.`,
    );
  }
}

/** Another process now owns the partition or the work. What was done in the transaction is rolled back. */
export class FencedError extends WaybillError {
  override readonly name = 'FencedError';
  override readonly code = 'FENCED';
  override readonly retryable = false;

  /** @param details `remedy`: what to do if no transaction is rolled back */
  constructor(what: string, details: ErrorDetails & { readonly remedy?: string } = {}) {
    const byDefault = 'The transaction is rolled back and the new owner does the work. No action is needed.';
    super(`${what}. ${details.remedy ?? byDefault}`, details);
  }
}

/** User code tried to end, release or change the handle of a transaction that Waybill opened and lent to it. */
export class HandleLentError extends WaybillError {
  override readonly name = 'HandleLentError';
  override readonly code = 'HANDLE_LENT';
  override readonly retryable = false;

  /** @param what `client` or `manager`; @param member the member called or changed */
  constructor(what: string, member: string) {
    super(
      `The ${what} of this transaction is lent: a handler must not call or change its ${member}. Only run queries ` +
        `with it: Waybill commits or rolls back when the handler ends, and releases the connection.`,
    );
  }
}

/** The database refused a statement with an error that Waybill does not expect. */
export class DatabaseRefusedError extends WaybillError {
  override readonly name = 'DatabaseRefusedError';
  override readonly code = 'DATABASE_REFUSED';
  override readonly retryable = false;

  constructor(
    what: string,
    readonly sqlState: string,
    details?: ErrorDetails,
  ) {
    super(
      `${what} (SQLSTATE ${sqlState}). Check the role's privileges and whether all migrations are applied.`,
      details,
    );
  }
}

/** A handler did not finish within `maxProcessingMs`. */
export class HandlerTimedOutError extends WaybillError {
  override readonly name = 'HandlerTimedOutError';
  override readonly code = 'HANDLER_TIMED_OUT';
  override readonly retryable = true;

  constructor(location: string, afterMs: number) {
    super(
      `The handler of ${location} did not finish within ${afterMs} ms and its transaction was rolled back. Make it faster, or raise maxProcessingMs.`,
    );
  }
}

/** Thrown by a handler: retry this message, after `delayMs` if given. */
export class RetryableError extends WaybillError {
  override readonly name = 'RetryableError';
  override readonly code = 'HANDLER_RETRYABLE';
  override readonly retryable = true;

  constructor(message: string, details: ErrorDetails & { readonly delayMs?: number } = {}) {
    super(message, details);
    this.delayMs = details.delayMs;
  }

  /** How long to wait before the next attempt, in milliseconds; undefined leaves it to the retry policy. */
  readonly delayMs: number | undefined;
}

/** Thrown by a handler: no later attempt can succeed; the message becomes a dead letter at once. */
export class NonRetryableError extends WaybillError {
  override readonly name = 'NonRetryableError';
  override readonly code = 'HANDLER_NOT_RETRYABLE';
  override readonly retryable = false;

  constructor(message: string, details?: ErrorDetails) {
    super(message, details);
  }
}

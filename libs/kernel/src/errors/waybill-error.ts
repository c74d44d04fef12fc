import { withoutSecrets } from '../safe-text.js';
import type { ErrorCode } from './error-code.js';

const brand = Symbol.for('waybill.error');

/** What every Waybill error carries in addition to its message. */
export interface ErrorDetails {
  /** The error that led to this one; always kept. */
  readonly cause?: unknown;
}

/**
 * The base of every error that Waybill throws.
 *
 * The message says what happened and to which message, topic or partition, then what to do. `code` is one
 * of a closed union and is what programs branch on; `retryable` says whether the same call may succeed later
 * without any change.
 */
export abstract class WaybillError extends Error {
  /** Stable across releases. */
  abstract readonly code: ErrorCode;
  /** True when the same call may succeed later without any change. */
  abstract readonly retryable: boolean;
  /** @internal Survives two copies of this package in one process, where `instanceof` does not. */
  readonly [brand] = true;

  protected constructor(message: string, details: ErrorDetails = {}) {
    super(withoutSecrets(message), details.cause === undefined ? undefined : { cause: details.cause });
  }

  /** Nest's RPC layer reads this; it keeps the error's details when the error is passed to a caller. */
  getError(): this {
    return this;
  }
}

/** Whether `error` is a Waybill error, of this copy of the package or another. */
export function isWaybillError(error: unknown): error is WaybillError {
  return typeof error === 'object' && error !== null && (error as { [brand]?: boolean })[brand] === true;
}

import { withoutSecrets } from '../safe-text.js';
import type { ErrorCode } from './error-code.js';

const brand = Symbol.for('waybill.error');

/** What every error of Waybill carries beside its message. */
export interface ErrorDetails {
  /** The error that led to this one; always kept. */
  readonly cause?: unknown;
}

/**
 * The base of every error that Waybill throws.
 *
 * The message says what happened and to which message, topic or partition, then what to do. `code` is one
 * of a closed union and is what programs branch on; `retryable` says whether the same call may succeed later
 * without a change by anybody.
 */
export abstract class WaybillError extends Error {
  /** One of {@link ErrorCode}; stable across releases. */
  abstract readonly code: ErrorCode;
  /** True when the same call may succeed later, with nothing changed. */
  abstract readonly retryable: boolean;
  /** @internal Survives two copies of this package in one process, where `instanceof` does not. */
  readonly [brand] = true;

  protected constructor(message: string, details: ErrorDetails = {}) {
    super(withoutSecrets(message), details.cause === undefined ? undefined : { cause: details.cause });
  }

  /** Nest's RPC layer asks for this; it keeps the error from being made anonymous on its way to a caller. */
  getError(): this {
    return this;
  }
}

/** Whether `error` is an error of Waybill, of this copy of the package or of another. */
export function isWaybillError(error: unknown): error is WaybillError {
  return typeof error === 'object' && error !== null && (error as { [brand]?: boolean })[brand] === true;
}

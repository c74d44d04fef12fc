import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** A bug in Waybill, or a database edited by hand: an invariant does not hold. */
export class InvariantError extends WaybillError {
  override readonly name = 'InvariantError';
  override readonly code = 'INVARIANT_BROKEN';
  override readonly retryable = false;

  constructor(why: string, details?: ErrorDetails) {
    super(
      `${why}. This is a bug in Waybill, or the database was changed by hand; please report it.`,
      details,
    );
  }
}

/** Throws {@link InvariantError} unless `condition` holds. */
export function invariant(condition: unknown, why: string): asserts condition {
  if (!condition) throw new InvariantError(why);
}

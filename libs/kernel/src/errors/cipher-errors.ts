import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Something that is stored encrypted cannot be decrypted here: the key is another one, or it was changed or moved. */
export class ContentUndecipherableError extends WaybillError {
  override readonly name = 'ContentUndecipherableError';
  override readonly code = 'CONTENT_UNDECIPHERABLE';
  override readonly retryable = false;

  /**
   * @param what what it is, as `message 01… at orders[0]@17`
   * @param problem as `key k1 is not known here`; never a key
   */
  constructor(what: string, problem: string, details?: ErrorDetails) {
    super(
      `The content of ${what} cannot be decrypted: ${problem}. It is kept as it is: give this process the key that it was ` +
        'encrypted with (option cipher), then redrive it. If the key is right, it was changed or moved, and is not genuine.',
      details,
    );
  }
}

/** The subject of something was erased: its keys are destroyed, and what was encrypted with them is gone for good. */
export class SubjectErasedError extends WaybillError {
  override readonly name = 'SubjectErasedError';
  override readonly code = 'SUBJECT_ERASED';
  override readonly retryable = false;

  /** @param what what was to be read or written, as `message 01… at orders[0]@17` */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `The subject of ${what} was erased: its keys are destroyed. What was encrypted for it cannot be read any more, and ` +
        'nothing is encrypted for it; name the subject of new data differently.',
      details,
    );
  }
}

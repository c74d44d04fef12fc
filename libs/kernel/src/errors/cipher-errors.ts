import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Encrypted data cannot be decrypted here: the key differs, or the data were changed or moved. */
export class ContentUndecipherableError extends WaybillError {
  override readonly name = 'ContentUndecipherableError';
  override readonly code = 'CONTENT_UNDECIPHERABLE';
  override readonly retryable = false;

  /**
   * @param what the data, e.g. `message 01… at orders[0]@17`
   * @param problem e.g. `key k1 is not known here`; never a key
   */
  constructor(what: string, problem: string, details?: ErrorDetails) {
    super(
      `The content of ${what} cannot be decrypted: ${problem}. It is kept unchanged. Give this process the key that it was ` +
        'encrypted with (option cipher), then redrive it. If the key is correct, the content was changed or moved and is not genuine.',
      details,
    );
  }
}

/** The subject was erased: its keys are destroyed, and data encrypted with them are lost for good. */
export class SubjectErasedError extends WaybillError {
  override readonly name = 'SubjectErasedError';
  override readonly code = 'SUBJECT_ERASED';
  override readonly retryable = false;

  /** @param what the data to be read or written, e.g. `message 01… at orders[0]@17` */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `The subject of ${what} was erased: its keys are destroyed. Data encrypted for it can no longer be read, and ` +
        'nothing new is encrypted for it. Use another subject name for new data.',
      details,
    );
  }
}

import { isPlainObject } from '@waybill/kernel/internal';
import { SagaInputError } from '../errors/saga-errors.js';
import { isStorable } from '@waybill/outbox/internal';

/** Longest key of a saga, and id of a signal, in characters. */
const MAX_CHARS = 255;

/** Whether a value is a valid name: a string of 1 to 255 characters that can be stored. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_CHARS && isStorable(value);
}

/** @throws SagaInputError unless a value is a valid name of a saga or a signal */
export function assertName(value: unknown, what: string): asserts value is string {
  if (isName(value)) return;
  const got = typeof value === 'string' ? `a string of ${value.length} characters` : typeof value;
  throw new SagaInputError(what, `must be a string of 1 to ${MAX_CHARS} characters, without NUL, got ${got}`);
}

/** @throws SagaInputError unless a value is valid saga data */
export function assertData(value: unknown, what: string): void {
  if (!isPlainObject(value)) throw new SagaInputError(what, 'must be a plain object');
}

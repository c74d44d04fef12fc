import { plainJson, ResultNotSerializableError, ResultTooLargeError } from '@waybill/kernel';

/** Stands in place of a result that could not be kept; no JSON begins so. */
const TOO_LARGE = '!too-large ';
const NOT_JSON = '!not-json';

/**
 * A result as it is kept: JSON, or null for undefined. What cannot be kept leaves a mark in its place, because the work
 * has been done all the same and must not be done again for it.
 */
export function encodeResult(result: unknown, maxBytes: number): string | null {
  let json: string | undefined;
  try {
    json = result === undefined ? undefined : JSON.stringify(plainJson(result, 'result'));
  } catch {
    return NOT_JSON;
  }
  if (json === undefined) return null;
  const bytes = Buffer.byteLength(json);
  return bytes > maxBytes ? `${TOO_LARGE}${bytes}` : json;
}

/**
 * A result as it was kept.
 * @param what whose it is, for the message
 * @throws ResultTooLargeError, ResultNotSerializableError when it could not be kept
 */
export function decodeResult<T>(stored: string | null, what: string, maxBytes: number): T {
  if (stored === NOT_JSON) throw new ResultNotSerializableError(what);
  if (stored?.startsWith(TOO_LARGE) === true)
    throw new ResultTooLargeError(what, Number(stored.slice(TOO_LARGE.length)), maxBytes);
  return (stored === null ? null : JSON.parse(stored)) as T;
}

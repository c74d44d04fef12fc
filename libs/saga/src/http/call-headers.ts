import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isPlainObject, show } from '@waybill/kernel/internal';

/** Headers that control how a message is sent or by whom: functions of the application may not set them. */
const RESERVED = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'idempotency-key',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers returned by a function of the application, with names in lower case.
 * @throws TypeError for an invalid header, or one that would change how the request is parsed; the error contains no value
 */
export function usableHeaders(made: unknown): Record<string, string> {
  if (made === undefined || made === null) return {};
  if (!isPlainObject(made))
    throw new TypeError(`headers must return an object of strings, got ${typeof made}`);
  const usable: Record<string, string> = {};
  for (const [given, value] of Object.entries(made)) {
    const name = given.toLowerCase();
    validateHeaderName(name);
    if (RESERVED.has(name) || name.startsWith('waybill-'))
      throw new TypeError(`headers may not set ${show(name)}, which Waybill sets`);
    if (typeof value !== 'string')
      throw new TypeError(`header ${show(name)} must be a string, got ${typeof value}`);
    validateHeaderValue(name, value);
    usable[name] = value;
  }
  return usable;
}

/** A name as a header carries it. */
export function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}

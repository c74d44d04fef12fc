import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isPlainObject, show } from '@waybill/kernel/internal';

/** Headers that say how a message is sent, or who sends it: they are not for functions of the application. */
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
 * Headers that a function of the application has made, their names in lower case.
 * @throws TypeError for what is no header, or would change how the request is read; it names no value
 */
export function usableHeaders(made: unknown): Record<string, string> {
  if (made === undefined || made === null) return {};
  if (!isPlainObject(made)) throw new TypeError(`headers must make an object of texts, got ${typeof made}`);
  const usable: Record<string, string> = {};
  for (const [given, value] of Object.entries(made)) {
    const name = given.toLowerCase();
    validateHeaderName(name);
    if (RESERVED.has(name) || name.startsWith('waybill-'))
      throw new TypeError(`headers may not make ${show(name)}, which is set by Waybill`);
    if (typeof value !== 'string')
      throw new TypeError(`header ${show(name)} must be a text, got ${typeof value}`);
    validateHeaderValue(name, value);
    usable[name] = value;
  }
  return usable;
}

/** A name as a header carries it. */
export function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}

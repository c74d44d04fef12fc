import { safeParse } from 'secure-json-parse';

/** Parses untrusted JSON. Throws on a `__proto__` or `constructor.prototype` key, and on invalid JSON. */
export function parseJson(text: string): unknown {
  const value: unknown = safeParse(text);
  if (value === null && text.trim() !== 'null')
    throw new SyntaxError('it has a forbidden key (e.g. __proto__)');
  if (value === undefined) throw new SyntaxError('it is not valid JSON');
  return value;
}

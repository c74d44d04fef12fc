import { safeParse } from 'secure-json-parse';

/** Parses JSON from outside. A `__proto__` or `constructor.prototype` key makes it throw; so does bad JSON. */
export function parseJson(text: string): unknown {
  const value: unknown = safeParse(text);
  if (value === null && text.trim() !== 'null')
    throw new SyntaxError('it has a forbidden key such as __proto__');
  if (value === undefined) throw new SyntaxError('it is not valid JSON');
  return value;
}

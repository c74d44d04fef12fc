import { InvariantError } from '../errors/invariant.js';

/** An id or offset for the text of a COPY, which takes no parameters. @throws InvariantError for anything else */
export function copyInteger(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvariantError(`${value} is not an id or an offset`);
  return String(value);
}

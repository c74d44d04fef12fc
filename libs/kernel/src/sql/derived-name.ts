import { createHash } from 'node:crypto';

/** PostgreSQL cuts longer names without a word, and what differs behind the cut is the same. */
const MOST_BYTES = 63;
const DIGEST = 32;

/**
 * A name for something in the database (a prepared statement, a channel) that is told from others by `parts`, of any length:
 * at most 63 bytes, and different for different parts.
 *
 * @param kind what the name begins with, for those who see it there: letters, digits and `-`
 */
export function derivedName(kind: string, ...parts: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, DIGEST);
  const readable = `waybill.${kind}`.slice(0, MOST_BYTES - DIGEST - 1);
  return `${readable}.${digest}`;
}

const names = new WeakMap<object, Map<string, string>>();

/** The name under which a statement is prepared for a schema. */
export function preparedName(
  statement: { readonly name: string; readonly text: string },
  schema: string,
): string {
  let ofStatement = names.get(statement);
  if (ofStatement === undefined) names.set(statement, (ofStatement = new Map()));
  let name = ofStatement.get(schema);
  if (name === undefined) {
    name = derivedName(statement.name, schema, statement.text);
    ofStatement.set(schema, name);
  }
  return name;
}

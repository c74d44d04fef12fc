import { createHash } from 'node:crypto';

/** PostgreSQL silently truncates longer names, so names that differ only after that become the same. */
const MOST_BYTES = 63;
const DIGEST = 32;

/**
 * A name for an object in the database (a prepared statement, a channel) that `parts` of any length identify:
 * at most 63 bytes, and different for different parts.
 *
 * @param kind the readable first part of the name: letters, digits and `-`
 */
export function derivedName(kind: string, ...parts: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, DIGEST);
  const readable = `waybill.${kind}`.slice(0, MOST_BYTES - DIGEST - 1);
  return `${readable}.${digest}`;
}

const names = new WeakMap<object, Map<string, string>>();

/** The name of a prepared statement of a schema. */
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

import { ConfigurationError } from '../errors/usage-errors.js';

declare const paramsType: unique symbol;
declare const rowType: unique symbol;

/**
 * An SQL statement of a `.sql` file, with the types of its parameters and rows. The text names the schema of a
 * service as `:schema` and that of the log as `:bus`; everything else that varies is a parameter.
 */
export interface Statement<Params extends readonly unknown[], Row> {
  /** The file name, without `.sql`. */
  readonly name: string;
  readonly text: string;
  /** @internal Types only. */
  readonly [paramsType]?: Params;
  /** @internal Types only. */
  readonly [rowType]?: Row;
}

/** Used by the generated modules only. */
export function statement<Params extends readonly unknown[], Row>(
  name: string,
  text: string,
): Statement<Params, Row> {
  return { name, text };
}

/** The default schema of Waybill's tables. */
export const DEFAULT_SCHEMA = 'waybill';

const rendered = new Map<string, Map<string, string>>();

/** The text of a statement for one schema. The schema name is the only identifier that is ever inserted into SQL. */
export function renderSql(text: string, schema: string): string {
  let ofSchema = rendered.get(schema);
  if (ofSchema === undefined) {
    assertSchemaName(schema);
    ofSchema = new Map();
    rendered.set(schema, ofSchema);
  }
  let sql = ofSchema.get(text);
  if (sql === undefined) {
    sql = nameSchema(text, schema);
    ofSchema.set(text, sql);
  }
  return sql;
}

/** Like {@link renderSql}, for a text that is used once: it is not cached. */
export function renderSqlOnce(text: string, schema: string): string {
  assertSchemaName(schema);
  return nameSchema(text, schema);
}

/** The schema of the log, in the database of a service or in one of its own, beside or in the place of the service's. */
export function busSchemaOf(schema: string): string {
  return `${schema}_bus`;
}

function nameSchema(text: string, schema: string): string {
  return text.replaceAll(/(?<!:):(schema|bus)\b/g, (_, which) =>
    which === 'bus' ? `"${busSchemaOf(schema)}"` : `"${schema}"`,
  );
}

/** @throws ConfigurationError unless `schema` is a lower-case identifier of at most 55 characters */
export function assertSchemaName(schema: string): void {
  if (
    typeof schema !== 'string' ||
    !/^[a-z_][a-z0-9_]{0,54}(_bus)?$/.test(schema) ||
    schema.startsWith('pg_')
  ) {
    throw new ConfigurationError('The schema name is not usable', [
      `${JSON.stringify(schema)} must be 1 to 55 characters of a-z 0-9 _, must not begin with a digit or with pg_`,
    ]);
  }
}

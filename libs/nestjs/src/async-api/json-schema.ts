import type { StandardSchemaV1 } from '@waybill/outbox';

/** JSON Schema, draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** How libraries convert a schema to JSON Schema: by Standard JSON Schema 1, or by their own method. */
interface Convertible {
  readonly '~standard': {
    readonly jsonSchema?: { input(options: { readonly target: 'draft-07' }): unknown };
  };
  /** zod. */
  toJSONSchema?(options: { readonly io: 'input'; readonly target: 'draft-7' }): unknown;
  /** arktype. */
  toJsonSchema?(): unknown;
}

/**
 * The JSON Schema of a payload as it is published, or `{}`, which accepts anything, if the library cannot provide one.
 * @param place its location in the document, for example `#/components/messages/orders/payload`
 */
export function jsonSchemaOf(schema: StandardSchemaV1, place: string): JsonSchema {
  const convertible = schema as unknown as Convertible;
  const ways = [
    () => convertible['~standard'].jsonSchema?.input({ target: 'draft-07' }),
    () => convertible.toJSONSchema?.({ io: 'input', target: 'draft-7' }),
    () => convertible.toJsonSchema?.(),
  ];
  for (const way of ways) {
    try {
      const made = way();
      if (typeof made !== 'object' || made === null) continue;
      const { $schema: _, ...rest } = made as Record<string, unknown>;
      return moved(rest, place) as JsonSchema;
    } catch {
      // The schema says what JSON Schema cannot: a date, a function.
    }
  }
  return {};
}

/** Rewrites references within the schema so that they start from its location. */
function moved(part: unknown, place: string): unknown {
  if (Array.isArray(part)) return part.map((item) => moved(item, place));
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(
    Object.entries(part).map(([name, value]) =>
      name === '$ref' && typeof value === 'string' && value.startsWith('#')
        ? [name, `${place}${value.slice(1)}`]
        : [name, moved(value, place)],
    ),
  );
}

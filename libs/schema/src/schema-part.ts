import { busSchemaOf } from '@waybill/kernel/internal';

/**
 * A part of the schema. `service`: what a service owns: outbox, progress, timers, half messages, sagas, guards. `bus`: the
 * log: topics, records, membership of groups; in a schema of its own, named like the service's with `_bus`.
 */
export type SchemaPart = 'service' | 'bus';

/** Both parts: a database that is a service's and its bus's has both. */
export const SCHEMA_PARTS: readonly SchemaPart[] = ['service', 'bus'];

/** The schema of a part, beside or in the place of the service's schema of that name. */
export function schemaOf(schema: string, part: SchemaPart): string {
  return part === 'bus' ? busSchemaOf(schema) : schema;
}

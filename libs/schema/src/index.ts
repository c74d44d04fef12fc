import type { SqlSession } from '@waybill/kernel';
import { databaseIdentity as databaseIdentityStatement } from './statements.generated.js';
export {
  assertMigrated,
  migrate,
  type MigrateOptions,
  type MigrationLockOptions,
  type MigrationState,
  migrationSql,
  migrationStatus,
} from './migrate.js';
export type { Migration } from './migration.js';
export { BUS_MIGRATIONS, SERVICE_MIGRATIONS } from './migrations.generated.js';
/**
 * The unique identity of the session's database and schema. Sessions with the same identity see each other's commits.
 */
export async function databaseIdentity(session: SqlSession): Promise<string> {
  const [row] = await session.run(databaseIdentityStatement, session.schema);
  return row?.identity ?? '';
}
export { type Restriction } from './roles/acl.js';
export { applyGrants, type GrantOptions, grantStatements } from './roles/grants.js';
export { type Role, ROLES } from './roles/role.js';
export { SCHEMA_PARTS, schemaOf, type SchemaPart } from './schema-part.js';

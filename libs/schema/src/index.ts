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
  type SchemaPart,
} from './migrate.js';
export type { Migration } from './migration.js';
export { MIGRATIONS } from './migrations.generated.js';
/** What tells the session's database (and schema) from every other. Two sessions with the same answer share transactions' effects. */
export async function databaseIdentity(session: SqlSession): Promise<string> {
  const [row] = await session.run(databaseIdentityStatement, session.schema);
  return row?.identity ?? '';
}
export { type Restriction } from './roles/acl.js';
export { applyGrants, type GrantOptions, grantStatements } from './roles/grants.js';
export { type DatabasePart, type Role, ROLES } from './roles/role.js';

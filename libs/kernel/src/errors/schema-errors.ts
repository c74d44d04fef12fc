import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Waybill's tables are missing or too old for this release. */
export class MigrationRequiredError extends WaybillError {
  override readonly name = 'MigrationRequiredError';
  override readonly code = 'MIGRATION_REQUIRED';
  override readonly retryable = false;

  constructor(schema: string, found: number, needed: number, details?: ErrorDetails) {
    const command = `npx waybill migrate${schema.endsWith('_bus') ? ' --bus' : ''}`;
    super(
      found === 0
        ? `Schema ${schema} of the database has no Waybill tables. Run \`${command}\`, or call migrate() of @waybill/schema.`
        : `Schema ${schema} of the database is at migration ${found}; this release needs ${needed}. Run \`${command}\`.`,
      details,
    );
  }
}

/** An applied migration differs from that of this release. */
export class MigrationChangedError extends WaybillError {
  override readonly name = 'MigrationChangedError';
  override readonly code = 'MIGRATION_CHANGED';
  override readonly retryable = false;

  constructor(schema: string, migration: string) {
    super(
      `The text of migration ${migration} applied to schema ${schema} differs from this release's. ` +
        `Released migrations never change: use the release that applied it, or restore the original file.`,
    );
  }
}

/** The database was migrated by a newer release that this one is not compatible with. */
export class SchemaTooNewError extends WaybillError {
  override readonly name = 'SchemaTooNewError';
  override readonly code = 'SCHEMA_TOO_NEW';
  override readonly retryable = false;

  constructor(schema: string, found: number, known: number) {
    super(
      `Schema ${schema} of the database is at migration ${found}; this release knows ${known}. Upgrade this ` +
        `service's @waybill packages.`,
    );
  }
}

/**
 * A migration could not get its locks in time. Earlier migrations stay applied; running it again continues from there.
 */
export class MigrationBlockedError extends WaybillError {
  override readonly name = 'MigrationBlockedError';
  override readonly code = 'MIGRATION_BLOCKED';
  override readonly retryable = true;

  /** @param what the lock that was waited for, how long, and which sessions hold it */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. Nothing of it was applied. Wait until these sessions are done, or end them with pg_terminate_backend(pid), and ` +
        'migrate again.',
      details,
    );
  }
}

/** The server is older than PostgreSQL 14. */
export class PostgresTooOldError extends WaybillError {
  override readonly name = 'PostgresTooOldError';
  override readonly code = 'POSTGRES_TOO_OLD';
  override readonly retryable = false;

  constructor(version: string) {
    super(
      `The database server is PostgreSQL ${version}. Waybill needs PostgreSQL 14 or later; upgrade the server.`,
    );
  }
}

/** The outbox's database is not in the cluster on which the relay's cursor was written. */
export class ClusterChangedError extends WaybillError {
  override readonly name = 'ClusterChangedError';
  override readonly code = 'CLUSTER_CHANGED';
  override readonly retryable = false;

  constructor(was: string, details?: ErrorDetails) {
    super(
      `The relay's cursor was written on cluster ${was}, and this is a different one: the database was restored from a ` +
        `dump, or copied. The transaction ids in the cursor mean nothing here, so the relay stops rather than ` +
        `lose or repeat messages. Stop all publishers, run \`npx waybill relay reconcile --yes\`, and start them again.`,
      details,
    );
  }
}

import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** Waybill's tables are missing, or older than this release needs. */
export class MigrationRequiredError extends WaybillError {
  override readonly name = 'MigrationRequiredError';
  override readonly code = 'MIGRATION_REQUIRED';
  override readonly retryable = false;

  constructor(schema: string, found: number, needed: number, details?: ErrorDetails) {
    super(
      found === 0
        ? `Schema ${schema} of the database has no tables of Waybill. Run \`npx waybill migrate\`, or call migrate() of @waybill/schema.`
        : `Schema ${schema} of the database is at migration ${found}, this release needs ${needed}. Run \`npx waybill migrate\`.`,
      details,
    );
  }
}

/** A migration that has been applied differs from the one of this release. */
export class MigrationChangedError extends WaybillError {
  override readonly name = 'MigrationChangedError';
  override readonly code = 'MIGRATION_CHANGED';
  override readonly retryable = false;

  constructor(schema: string, migration: string) {
    super(
      `Migration ${migration} was applied to schema ${schema} with another text than this release has. ` +
        `Released migrations never change: use the release that applied it, or restore the original file.`,
    );
  }
}

/** The database was migrated by a newer release that this one cannot work beside. */
export class SchemaTooNewError extends WaybillError {
  override readonly name = 'SchemaTooNewError';
  override readonly code = 'SCHEMA_TOO_NEW';
  override readonly retryable = false;

  constructor(schema: string, found: number, known: number) {
    super(
      `Schema ${schema} of the database is at migration ${found}, this release knows ${known}. Upgrade this ` +
        `service's @waybill packages.`,
    );
  }
}

/** The locks of a migration were not to be had in time. What was applied before stays; running it again goes on. */
export class MigrationBlockedError extends WaybillError {
  override readonly name = 'MigrationBlockedError';
  override readonly code = 'MIGRATION_BLOCKED';
  override readonly retryable = true;

  /** @param what what was waited for, for how long, and which sessions hold it */
  constructor(what: string, details?: ErrorDetails) {
    super(
      `${what}. Nothing of it was applied. Wait until these sessions are done, or end them by pg_terminate_backend(pid), and ` +
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

/** The outbox's database is not the cluster that the relay's cursor was written on. */
export class ClusterChangedError extends WaybillError {
  override readonly name = 'ClusterChangedError';
  override readonly code = 'CLUSTER_CHANGED';
  override readonly retryable = false;

  constructor(was: string, details?: ErrorDetails) {
    super(
      `The relay's cursor was written on cluster ${was}, and this is another one: the database was loaded from a ` +
        `dump, or copied. The transaction ids in the cursor mean nothing here, so the relay stops rather than ` +
        `lose or repeat messages. Stop all publishers, run \`npx waybill relay adopt --yes\`, and start them again.`,
      details,
    );
  }
}

import type { Logger, PgDatabase } from '@waybill/kernel';
import { assertMigrated } from '@waybill/schema';
import { assertMayRelay, assertRowsVisible } from '@waybill/schema/internal';

/** The parts of an instance that its databases must fit. */
interface Instance {
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly logger: Logger;
  /** Undefined if this process does not. */
  readonly relay: unknown;
  readonly scheduler: unknown;
}

/**
 * Checks that the databases of an instance fit it.
 * @throws MigrationRequiredError and its subclasses; DatabaseUnavailableError; ConfigurationError
 */
export async function assertDatabases(instance: Instance): Promise<void> {
  const { database, bus, logger, relay, scheduler } = instance;
  await assertMigrated(database.session, 'service');
  await assertRowsVisible(database.session, logger);
  if (relay !== undefined || scheduler !== undefined) await assertMayRelay(database.session);
  await assertMigrated(bus.session, 'bus');
}

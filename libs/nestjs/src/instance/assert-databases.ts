import { ConfigurationError, type Logger, type PgDatabase } from '@waybill/kernel';
import type { Outbox } from '@waybill/outbox';
import { assertMigrated, databaseIdentity, type SchemaPart } from '@waybill/schema';
import { assertMayRelay, assertRowsVisible } from '@waybill/schema/internal';

/** The parts of an instance that its databases must fit. */
interface Instance {
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly outbox: Outbox;
  readonly logger: Logger;
  /** Undefined if this process does not. */
  readonly relay: unknown;
  readonly scheduler: unknown;
}

/**
 * Checks that the databases of an instance fit it.
 * @param part what the service's own database must hold
 * @throws MigrationRequiredError and its subclasses; DatabaseUnavailableError; ConfigurationError
 */
export async function assertDatabases(instance: Instance, part: SchemaPart): Promise<void> {
  const { database, bus, logger, relay, scheduler } = instance;
  await assertMigrated(database.session, part);
  await assertRowsVisible(database.session, logger);
  if (bus === database) {
    if (relay !== undefined || scheduler !== undefined) await assertMayRelay(bus.session);
    return;
  }
  await assertMigrated(bus.session);
  await assertRowsVisible(bus.session, logger);
  if (scheduler !== undefined) await assertMayRelay(bus.session);
  await assertOneDatabase(instance);
}

/**
 * The relay appends and moves its cursor in one transaction, so this release needs the outbox and the log in one
 * database. Closes the outbox if they are not.
 * @throws ConfigurationError if the instance relays nevertheless
 */
async function assertOneDatabase({ database, bus, outbox, relay }: Instance): Promise<void> {
  const [own, log] = await Promise.all([databaseIdentity(database.session), databaseIdentity(bus.session)]);
  if (own === log) return;
  if (relay !== undefined) {
    throw new ConfigurationError('The options of WaybillModule are not usable', [
      'database and bus are two databases; this release relays only within one database. Set relay: false for a process that only consumes',
    ]);
  }
  outbox.close('database and bus are two databases, which the relay does not support: use half messages');
}

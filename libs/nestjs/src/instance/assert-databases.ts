import { ConfigurationError, type Logger, type PgDatabase } from '@waybill/kernel';
import type { Outbox } from '@waybill/outbox';
import { assertMigrated, databaseIdentity, type SchemaPart } from '@waybill/schema';
import { assertMayRelay, assertRowsVisible } from '@waybill/schema/internal';

/** What of an instance its databases have to fit. */
interface Instance {
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly outbox: Outbox;
  readonly logger: Logger;
  /** Undefined where this process does not. */
  readonly relay: unknown;
  readonly scheduler: unknown;
}

/**
 * Checks that the databases of an instance are such as it can work with.
 * @param part what the service's own database must hold
 * @throws MigrationRequiredError and others of that family; DatabaseUnavailableError; ConfigurationError
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
 * The relay appends and moves its cursor in one transaction, so the outbox and the log share a database for now. Closes the
 * outbox where they do not.
 * @throws ConfigurationError when the instance relays all the same
 */
async function assertOneDatabase({ database, bus, outbox, relay }: Instance): Promise<void> {
  const [own, log] = await Promise.all([databaseIdentity(database.session), databaseIdentity(bus.session)]);
  if (own === log) return;
  if (relay !== undefined) {
    throw new ConfigurationError('The options of WaybillModule are not usable', [
      'database and bus are two databases; this release relays only within one. Set relay: false for a process that only consumes',
    ]);
  }
  outbox.close('database and bus are two databases, and nothing relays between them: use half messages');
}

import { ConfigurationError, type PgDatabase } from '@waybill/kernel';
import type { Outbox } from '@waybill/outbox';
import { databaseIdentity } from '@waybill/schema';
import type { WaybillModuleOptions } from './waybill-options.js';

/**
 * The relay appends and moves its cursor in one transaction, so the outbox and the log share a database for now. Closes the
 * outbox where they do not.
 * @throws ConfigurationError when the instance relays all the same
 */
export async function assertOneDatabase(instance: {
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly outbox: Outbox;
  readonly options: WaybillModuleOptions;
}): Promise<void> {
  const { database, bus, outbox, options } = instance;
  const [own, log] = await Promise.all([databaseIdentity(database.session), databaseIdentity(bus.session)]);
  if (own === log) return;
  if (options.relay !== false) {
    throw new ConfigurationError('The options of WaybillModule are not usable', [
      'database and bus are two databases; this release relays only within one. Set relay: false for a process that only consumes',
    ]);
  }
  outbox.close('database and bus are two databases, and nothing relays between them: use half messages');
}

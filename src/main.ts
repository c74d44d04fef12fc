import 'reflect-metadata';
import { prepareDatabases } from './database/prepare-database.js';
import { describeFailure } from './describe-failure.js';
import { readShopEnvironment, type ShopConfig, type ShopEnvironment } from './shop-config.js';
import { startShop } from './shop-app.js';

type DatabaseSettings = 'connectionStrings' | 'busConnectionStrings';

/**
 * Starts the services that `SERVICE` names. A parent with an IPC channel gets the URL, and the process ends with it.
 */
async function main(): Promise<void> {
  const environment = readShopEnvironment(process.env);
  const { connectionStrings, busConnectionStrings, isolated } = await databasesOf(environment);
  if (!isolated) {
    process.stderr.write(
      'The owner may not create roles, so every service works under its login and can read every table. Grant it CREATEROLE.\n',
    );
  }
  const { url } = await startShop({ ...environment, connectionStrings, busConnectionStrings });
  process.stdout.write(`${environment.services.join(', ')} ready on ${url}\n`);
  process.send?.({ url });
}

/** Prepares the databases as their owner, unless the process was given a service's own logins. */
async function databasesOf({
  databases,
}: ShopEnvironment): Promise<Pick<ShopConfig, DatabaseSettings> & { readonly isolated: boolean }> {
  if ('owned' in databases) return prepareDatabases(databases.owned);
  const { serviceDatabaseUrl: own, serviceBusUrl: bus } = databases;
  return {
    connectionStrings: { orders: own, inventory: own, payments: own },
    busConnectionStrings: { orders: bus, inventory: bus, payments: bus },
    isolated: true,
  };
}

// A service whose parent was killed must not continue alone. It may exit immediately: its open transactions roll back.
if (process.connected) process.once('disconnect', () => process.exit(1));

main().catch((error: unknown) => {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exitCode = 1;
  if (process.connected) process.disconnect();
});

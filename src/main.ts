import 'reflect-metadata';
import { prepareDatabases } from './database/prepare-database.js';
import { describeFailure } from './describe-failure.js';
import { readShopEnvironment } from './shop-config.js';
import { startShop } from './shop-app.js';

/** Starts the services that `SERVICE` names. A parent with an IPC channel is told the URL, and is not outlived. */
async function main(): Promise<void> {
  const environment = readShopEnvironment(process.env);
  const { databaseUrl, ledgerUrl } = environment;
  const { connectionStrings, paymentsLog, isolated } = await prepareDatabases(databaseUrl, ledgerUrl);
  if (!isolated) {
    process.stderr.write(
      'The login may not create roles, so that every service can read every table. Grant it CREATEROLE.\n',
    );
  }
  const { url } = await startShop({ ...environment, connectionStrings, paymentsLog });
  process.stdout.write(`${environment.services.join(', ')} ready on ${url}\n`);
  process.send?.({ url });
}

// A service whose parent was killed must not go on alone. It may leave at once: what it was doing rolls back.
if (process.connected) process.once('disconnect', () => process.exit(1));

main().catch((error: unknown) => {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exitCode = 1;
  if (process.connected) process.disconnect();
});

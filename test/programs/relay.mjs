// Runs a relay until it is stopped, or killed.
import { Bell, PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';

const { url, options = {} } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, applicationName: 'test relay' });
const logger = { debug() {}, info: console.log, warn: console.log, error: console.log };
const relay = new Relay(
  { database, log: new PostgresLogEngine(database), bell: new Bell(), logger },
  options,
);
process.on('SIGTERM', async () => {
  await relay.service.stop();
  console.log(`moved ${relay.moved}`);
  await database.close();
});
await database.pool.query('select 1');
relay.service.start();
console.log('ready');

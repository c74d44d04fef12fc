// Publishes numbered messages, each in its own transaction.
import { PgDatabase } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';

const CONNECTIONS = 4;
const KEYS = 20;

const { url, first = 0, count, preparedStatements } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: CONNECTIONS });
const outbox = new Outbox({ preparedStatements });
let next = first;
console.log('ready');

async function publisher() {
  while (next < first + count) {
    const n = next;
    next += 1;
    await database.transaction(({ client }) =>
      outbox.publish(client, { topic: 'orders', key: `key-${n % KEYS}`, payload: { n } }),
    );
  }
}

await Promise.all(Array.from({ length: CONNECTIONS }, publisher));
console.log('done');
await database.close();

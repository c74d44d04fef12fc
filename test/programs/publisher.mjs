// Publishes numbered messages in transactions of all kinds, and writes the number of each committed one into the table
// `published`, in the same transaction: exactly those must be in the log.
import { PgDatabase } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';

const { url, first = 0, count, connections = 4, keys = 20, rollBackEvery = 0 } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: connections });
const outbox = new Outbox();
let next = first;
console.log('ready');

async function publishOne(n) {
  await database.transaction(async ({ client }) => {
    const key = `key-${n % keys}`;
    await client.query('insert into published (n) values ($1)', [n]);
    await outbox.publish(client, { topic: 'orders', key, payload: { n } });
    if (rollBackEvery > 0 && n % rollBackEvery === 0) throw new Error('rolled back on purpose');
  });
}

async function publisher() {
  while (next < first + count) {
    const n = next;
    next += 1;
    for (;;) {
      try {
        await publishOne(n);
        break;
      } catch (error) {
        if (error.message.includes('on purpose')) break;
        // The response to COMMIT may be lost: the table shows whether it went through.
        if (await isPublished(n)) break;
      }
    }
  }
}

async function isPublished(n) {
  for (;;) {
    try {
      const { rowCount } = await database.pool.query('select from published where n = $1', [n]);
      return rowCount > 0;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

await Promise.all(Array.from({ length: connections }, publisher));
console.log('done');
await database.close();

// Appends numbered records to the log, with its own accumulator.
import { PgDatabase } from '@waybill/kernel';
import { LogAppender } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';

const { url, name, count } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url });
const appender = new LogAppender(new PostgresLogEngine(database));
console.log('ready');
const sent = Array.from({ length: count }, (_, n) =>
  appender.append({
    topic: 'orders',
    key: Buffer.from(`${name}-${n % 7}`),
    value: Buffer.from(JSON.stringify({ n, name })),
  }),
);
const places = await Promise.all(sent);
console.log(`appended ${places.length}`);
await appender.close();
await database.close();

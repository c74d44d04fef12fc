// Consumes the topics by writing a row into the table effect for each message. A payload can ask for failures:
// `kill` takes the process down, `killFrom` from that attempt on, `fail` makes that many attempts throw,
// `untilCured` all of them until its number is in the table cured.
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { Consumer, resolveSubscription } from '@waybill/consumer';
import { PostgresLogEngine } from '@waybill/log/postgres';

const {
  url,
  busUrl = url,
  group = 'test',
  topics: names = ['orders'],
  subscription = {},
  options = {},
  preparedStatements,
} = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url });
const bus = busUrl === url ? database : new PgDatabase({ connectionString: busUrl });
const logger = { debug() {}, info: console.log, warn: console.log, error: console.log };
const log = new PostgresLogEngine(bus, { logger, service: database });
const { signals } = log;

async function handle({ topic, partition, offset, key, messageId, attempt, payload, transaction }) {
  await transaction.query(
    `insert into effect (consumer, topic, partition, log_offset, key, message_id, n, attempt, pid)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [group, topic, partition, offset, key, messageId, payload.n, attempt, process.pid],
  );
  console.log(`handling ${payload.n}`);
  if (payload.kill === true || attempt >= (payload.killFrom ?? Infinity))
    process.kill(process.pid, 'SIGKILL');
  if (payload.untilCured === true) {
    const { rowCount } = await transaction.query('select from cured where n = $1', [payload.n]);
    if (rowCount === 0) throw new Error(`${payload.n} is not cured`);
  }
  if (attempt <= (payload.fail ?? 0)) throw new Error(`attempt ${attempt} of ${payload.n} fails`);
}

const consumer = new Consumer(
  {
    group,
    subscriptions: names.map((name) => resolveSubscription(name, handle, subscription)),
    database,
    transactions: new PgTransactionRunner(database, preparedStatements),
    log,
    logger,
  },
  { preparedStatements, ...options },
);
process.on('SIGTERM', async () => {
  await consumer.stop();
  await signals.stop();
  await database.close();
  if (bus !== database) await bus.close();
});
signals.start();
await consumer.start();
console.log('ready');

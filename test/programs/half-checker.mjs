// Checks back half messages of a group until it is stopped. `killEvery` kills it between a claim and its verdict, at
// one in `killEvery` checks. With `ledgerUrl` local transactions are looked up there, by id or in the table `done`; without, every check says `verdict`, after `answerAfterMs`.
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { HalfMessageChecker, HalfStore, LocalDatabases } from '@waybill/half-message';
import { ANY_TOPIC } from '@waybill/half-message/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';

const {
  url,
  ledgerUrl,
  group,
  verdict,
  answerAfterMs = 0,
  killEvery = 0,
  options = {},
  preparedStatements,
} = JSON.parse(process.argv[2]);
const bus = new PgDatabase({ connectionString: url, applicationName: 'test half checker' });
const ledger = new PgDatabase({ connectionString: ledgerUrl ?? url });
const asking = new PgDatabase({ connectionString: ledgerUrl ?? url });
const local = {
  name: 'ledger',
  transactions: new PgTransactionRunner(ledger, preparedStatements),
  session: asking.session,
};
const store = new HalfStore({ database: bus, log: new PostgresLogEngine(bus) });

async function groupCheck(half) {
  console.log(`checking ${half.id}`);
  await new Promise((resolve) => setTimeout(resolve, answerAfterMs));
  if (verdict !== undefined) return verdict;
  const { rows } = await asking.pool.query(
    `select exists (select from done where half = $1) as done, clock_timestamp() - $2 > interval '3 s' as old`,
    [half.id, half.preparedAt],
  );
  // A local transaction may take a second: a younger half may still be in progress.
  if (rows[0].done) return 'commit';
  return rows[0].old ? 'rollback' : 'unknown';
}

const checker = new HalfMessageChecker(
  {
    database: bus,
    store,
    group,
    checks: new Map([[ANY_TOPIC, groupCheck]]),
    databases: new LocalDatabases([local]),
    logger: { debug() {}, info: console.log, warn: console.log, error: console.log },
  },
  options,
);
const { decide } = store;
store.decide = (...given) => {
  if (killEvery > 0 && Math.random() * killEvery < 1) {
    if (Math.random() < 0.5) process.kill(process.pid, 'SIGKILL');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), Math.random() * 4);
  }
  return decide.apply(store, given);
};
process.on('SIGTERM', async () => {
  await checker.stop();
  console.log(JSON.stringify(checker.counts));
  await Promise.all([bus, ledger, asking].map((database) => database.close()));
});
await bus.pool.query('select 1');
checker.start();
console.log('ready');

// Executes half messages around local transactions in a ledger, `parallel` at a time, from number `first` up to `end`.
// It kills itself at one of the places on a half's way, at one half in `killEvery`. `how`: xact-status or check.
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { HalfMessages, LocalDatabases } from '@waybill/half-message';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox } from '@waybill/outbox';

const {
  url,
  ledgerUrl,
  how,
  first,
  end,
  parallel = 8,
  killEvery = 0,
  options = {},
  preparedStatements,
} = JSON.parse(process.argv[2]);
const bus = new PgDatabase({ connectionString: url, applicationName: 'test half producer' });
const ledger = new PgDatabase({ connectionString: ledgerUrl, connectionsMax: parallel + 2 });
const asking = new PgDatabase({ connectionString: ledgerUrl });
const outbox = new Outbox({ preparedStatements });
const local = {
  name: 'ledger',
  transactions: new PgTransactionRunner(ledger, preparedStatements),
  session: asking.session,
};
const halves = new HalfMessages(
  {
    database: bus,
    log: new PostgresLogEngine(bus),
    group: `payments-${how}`,
    encode: (message) => outbox.encode(message),
    databases: new LocalDatabases([local]),
    logger: { debug() {}, info: console.log, warn: console.log, error: console.log },
  },
  options,
);

const PLACES = ['prepared', 'working', 'worked', 'committing', 'committed'];
/** By the half's number: where this process kills itself. */
const dieAt = new Map();
function at(place, n) {
  if (dieAt.get(n) === place) process.kill(process.pid, 'SIGKILL');
}

const { commitStored } = halves.store;
halves.store.commitStored = async (half) => {
  const { n } = JSON.parse(half.encoded[0].payload.toString());
  at('worked', n);
  const committing = commitStored.call(halves.store, half);
  if (dieAt.get(n) === 'committing') setTimeout(() => at('committing', n), Math.random() * 4);
  return committing;
};

async function one(n) {
  if (killEvery > 0 && Math.random() * killEvery < 1) {
    dieAt.set(n, PLACES[Math.floor(Math.random() * PLACES.length)]);
  }
  const message = { topic: 'orders', key: `key-${n % 20}`, payload: { n } };
  const work = async (tx, half) => {
    at('prepared', n);
    await tx.query('insert into done (n, half) values ($1, $2)', [n, half.id]);
    at('working', n);
    if (n % 9 === 0) throw new Error('no cover');
  };
  try {
    if (how === 'xact-status') await halves.executeWithXactStatus(message, 'ledger', work);
    else
      await halves.execute(message, (half) =>
        local.transactions.run({ work: ({ handle }) => work(handle, half), timeoutMs: 1_000 }),
      );
  } catch (error) {
    if (error.message !== 'no cover') console.log(`failed ${n}: ${String(error)}`);
  }
  at('committed', n);
}

await bus.pool.query('select 1');
console.log('ready');
let next = first;
await Promise.all(
  Array.from({ length: parallel }, async () => {
    while (next < end) {
      const n = next;
      next += 1;
      console.log(`began ${n}`);
      await one(n);
    }
  }),
);
console.log('done');
await Promise.all([bus, ledger, asking].map((database) => database.close()));

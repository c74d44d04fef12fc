// Does work under leases for names `prefix-0` up to `count`, each `times` at a time: an effect is a row. Leases are
// stored in PostgreSQL, in Redis, or (`backed`) in both. With `hold` it reports that it works, and works until SIGUSR2.
import { once } from 'node:events';
import { isWaybillError, PgDatabase } from '@waybill/kernel';
import { fallbackLeaseStore, LeaseGuard, PostgresLeaseStore, RedisLeaseStore } from '@waybill/guard';
import { LeaseSeal } from '@waybill/guard/internal';
import { Redis } from 'ioredis';

const {
  url,
  redisUrl,
  kind,
  prefix,
  count = 1,
  times = 1,
  hold = false,
  dieIn,
  options = {},
} = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: 20 });
const postgres = new PostgresLeaseStore(database.session);
let store = postgres;
if (kind !== 'postgres') {
  const client = new Redis(redisUrl, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    retryStrategy: () => 20,
  });
  client.on('error', () => {});
  await once(client, 'ready');
  const seal = new LeaseSeal(database.session, 'leases');
  const redis = new RedisLeaseStore(client, { commandTimeoutMs: 200 }, { seal });
  store = fallbackLeaseStore(redis, kind === 'redis' ? 'refuse' : postgres);
}
const guard = new LeaseGuard(store, options);

async function work(id, { fence }) {
  if (dieIn === 'claimed') process.kill(process.pid, 'SIGKILL');
  if (hold) {
    const goOn = once(process, 'SIGUSR2');
    console.log('working');
    await goOn;
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  await database.pool.query('insert into effect (message_id, pid) values ($1, $2)', [id, process.pid]);
  if (dieIn === 'effect') process.kill(process.pid, 'SIGKILL');
  return { pid: process.pid, fence };
}

async function one(id) {
  for (;;) {
    try {
      const { result } = await guard.once({ scope: 'test', id }, (lease) => work(id, lease));
      if (dieIn === 'done') process.kill(process.pid, 'SIGKILL');
      return JSON.stringify(result);
    } catch (error) {
      if (!isWaybillError(error) || !error.retryable) return `failed ${error.code ?? String(error)}`;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

await database.pool.query('select 1');
console.log('ready');
const ids = Array.from({ length: count }, (_, n) => `${prefix}-${n}`).sort(() => Math.random() - 0.5);
for (const id of ids) {
  const results = await Promise.all(Array.from({ length: times }, () => one(id)));
  for (const result of results) console.log(`result ${id} ${result}`);
}
console.log('done');
process.exit(0);

import { Bell, PgDatabase, PgTransactionRunner, newId } from '@waybill/kernel';
import { LogSignals, Topics } from '@waybill/log';
import { Outbox, Relay } from '@waybill/outbox';
import { Consumer, resolveSubscription } from '@waybill/consumer';
import { migrate, applyGrants } from '@waybill/schema';
import { ensurePostgres, createDatabase } from '@waybill/testing';
const server = await ensurePostgres();
const made = await createDatabase(server, 'bench');
await migrate({ connectionString: made.connectionString });
const owner = new PgDatabase({ connectionString: made.connectionString, connectionsMax: 10 });
const logins = { owner: made.connectionString };
const make = async (name, options) => {
  await owner.pool.query(`drop role if exists ${name}`);
  await owner.pool.query(`create role ${name} login password 'x'`);
  await owner.withConnection((c) => applyGrants(c, { login: name, ...options }));
  const url = new URL(made.connectionString); url.username = name; url.password = 'x';
  logins[name] = url.href;
};
await make('b_publisher', { roles: ['publisher'] });
await make('b_service', { roles: ['service'] });
if (process.argv[2] !== 'noacl') {
  await make('b_orders', { roles: ['service'], topics: ['orders*'], groups: ['g*'] });
  for (let i = 0; i < 20; i += 1) await make(`b_other${i}`, { roles: ['publisher'], topics: ['other*'] });
}
const topics = new Topics(owner.session);
await topics.create('orders', { partitions: 4 });
const names = Object.keys(logins).filter((n) => !n.startsWith('b_other'));
const dbs = Object.fromEntries(names.map((n) => [n, new PgDatabase({ connectionString: logins[n], connectionsMax: 20 })]));
// publish
const outbox = new Outbox({ topics });
const best = {};
for (let round = 0; round < 8; round += 1) for (const n of names) {
  const client = await dbs[n].pool.connect();
  const start = performance.now();
  for (let i = 0; i < 1500; i += 1) { await client.query('begin'); await outbox.publish(client, { topic: 'orders', key: `k${i % 100}`, payload: { n: i, text: 'x'.repeat(200) } }); await client.query('commit'); }
  const us = (performance.now() - start) / 1.5;
  client.release();
  (best[n] ??= []).push(us);
}
const median = (a) => a.toSorted((x, y) => x - y)[Math.floor(a.length / 2)];
for (const n of names) console.log('publish', n, Math.round(median(best[n])), 'us', 'ratio to owner', (median(best[n]) / median(best.owner)).toFixed(3));
const bulk = {};
for (let round = 0; round < 8; round += 1) for (const n of names) {
  const client = await dbs[n].pool.connect();
  const start = performance.now();
  for (let i = 0; i < 20; i += 1) { await client.query('begin'); await outbox.publishMany(client, Array.from({ length: 500 }, (_, j) => ({ topic: 'orders', key: `k${j % 100}`, payload: { n: j } }))); await client.query('commit'); }
  (bulk[n] ??= []).push((performance.now() - start) / 10); client.release();
}
for (const n of names) console.log('publishMany(500)', n, (median(bulk[n])).toFixed(2), 'us a message', 'ratio', (median(bulk[n]) / median(bulk.owner)).toFixed(3));
// relay: owner and service
const relay = new Relay({ database: dbs.owner, topics, signals: new LogSignals(dbs.owner), bell: new Bell() });
while ((await relay.runOnce()) === 'again');
// consume
const times = {};
const N = 20000;
for (let round = 0; round < 4; round += 1) for (const n of names.filter((x) => x !== 'b_publisher')) {
  const db = dbs[n]; const t = new Topics(db.session); const signals = new LogSignals(db);
  let seen = 0; let done; const all = new Promise((r) => (done = r));
  const consumer = new Consumer({ group: `g${n}${round}`, subscriptions: [resolveSubscription('orders', async () => { seen += 1; if (seen === N) done(); }, {})], bus: db, transactions: new PgTransactionRunner(db), topics: t, signals }, {});
  const start = performance.now(); await consumer.start(); await all; (times[n] ??= []).push((performance.now() - start) * 1000 / N); await consumer.stop();
}
for (const n of Object.keys(times)) console.log('consume', n, median(times[n]).toFixed(1), 'us a message', 'ratio', (median(times[n]) / median(times.owner)).toFixed(3));
for (const db of Object.values(dbs)) await db.close();
await owner.close(); await made.drop(); await server.stop();

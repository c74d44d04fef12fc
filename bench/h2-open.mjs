import { PgDatabase } from '@waybill/kernel';
import { migrate, applyGrants } from '@waybill/schema';
import { ensurePostgres, createDatabase } from '@waybill/testing';
const server = await ensurePostgres();
const made = await createDatabase(server, 'bench');
await migrate({ connectionString: made.connectionString });
const owner = new PgDatabase({ connectionString: made.connectionString, connectionsMax: 10 });
const urls = {};
const make = async (name, options) => { await owner.pool.query(`drop role if exists ${name}`); await owner.pool.query(`create role ${name} login password 'x'`); await owner.withConnection((c) => applyGrants(c, { login: name, ...options })); const url = new URL(made.connectionString); url.username = name; url.password = 'x'; urls[name] = url.href; };
await make('b_service', { roles: ['service'] });
await make('b_orders', { roles: ['service'], topics: ['orders*'], groups: ['g*'] });
for (let i = 0; i < 20; i += 1) await make(`b_other${i}`, { roles: ['publisher'], topics: ['other*'] });
await owner.pool.query(`insert into waybill.consumer_group (name) values ('g1'), ('x')`);
await owner.pool.query(`select waybill.topic_create('orders', 4, 1000000, 'unblock', 'drop')`);
for (const n of ['b_service', 'b_orders']) {
  const db = new PgDatabase({ connectionString: urls[n], connectionsMax: 1 });
  for (const e of ['(select waybill.acl_open() where n > 0)', `acl_assert_outbox(null::smallint, 'orders', 'k' || n)`, 'acl_reads(1 + n % 2)', 'acl_consumes(1, 1 + n % 2)', `(select count(*) from (select waybill.acl_groups() where n > 0) x)`]) {
    const text = `select count(*) from generate_series(1, 20000) n where ${e.startsWith('(') ? e : 'waybill.' + e} is not null`;
    try { await db.pool.query(text); const s = performance.now(); await db.pool.query(text); console.log(n, e, ((performance.now() - s) / 20).toFixed(2), 'us'); } catch (error) { console.log(n, e, error.message); }
  }
  await db.close();
}
await owner.close(); await made.drop(); for (const n of Object.keys(urls)) {}; await server.stop();

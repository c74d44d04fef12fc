import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { SagaOperations } from '@waybill/saga';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { FlakyGateway } from '../support/flaky-gateway.js';
import { Supervised } from '../support/saga/saga-orders.js';

/** 2,000 is the full size. */
const SAGAS = Number(process.env['WAYBILL_BASKETS'] ?? 150);
const TIME_LIMIT_MS = 900_000 + 300 * SAGAS;
const TOPICS = [
  'stock.take',
  'stock.put',
  'shipping.send',
  'baskets.saga-replies',
  'parcels.sent',
  'parcels.delivered',
];
const COMPLETED = 4;
const COMPENSATED = 5;
const CANCELLED = 6;
const operator = { by: 'ada', reason: 'as agreed with the customer' };

const TABLES = `
  create table plan (id text primary key, scenario text not null, lines jsonb not null, pence int not null);
  create table orders (id text primary key, state text not null, cancelled boolean not null default false,
                       placed_at timestamptz not null default now());
  create table stock (sku text primary key, pieces int not null);
  create table booking (order_id text not null unique, cleared boolean not null default false);
  create table parcel (order_id text not null);
  create table delivery (order_id text not null, signed_by text not null);
  create table audit (order_id text not null unique);
  create table release (number int not null);
  create table gateway_call (key text primary key, order_id text not null, pence int not null,
                             id bigint generated always as identity);
  insert into release values (1);
  insert into stock select 'sku-' || n, 100000 from generate_series(0, 7) n`;

const SCENARIOS = ['good', 'no-stock', 'cancel', 'no-money', 'good', 'no-lorry'] as const;

let server: EmbeddedPostgres;
let fixture: Fixture;
let gateway: FlakyGateway;
let database: PgDatabase;
let services: Supervised[] = [];

beforeAll(async () => {
  server = await startPostgres();
  fixture = await Fixture.create(Object.fromEntries(TOPICS.map((name) => [name, {}])), {
    server: server.connectionString,
    inOneDatabase: 'its server, which is killed, has everything',
  });
  await fixture.database.pool.query(TABLES);
  gateway = await FlakyGateway.open(fixture.database.pool, 0.25);
  database = new PgDatabase({ connectionString: fixture.url });
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await gateway.close();
  await database.close();
  await fixture.close();
  await server.stop();
});

async function plan(numbers: readonly number[]): Promise<void> {
  const baskets = numbers.map((n) => {
    const scenario = SCENARIOS[n % SCENARIOS.length];
    const lines = upTo(1 + (n % 5)).map((line) => ({ sku: `sku-${(line + n) % 8}`, pieces: 1 + (n % 3) }));
    const withTwo =
      scenario === 'no-stock'
        ? [...lines.filter(({ sku }) => sku !== 'sku-2'), { sku: 'sku-2', pieces: 1 }]
        : lines;
    return { id: `basket-${String(n).padStart(5, '0')}`, scenario, lines: withTwo, pence: 100 + n };
  });
  await fixture.database.pool.query(
    `insert into plan select id, scenario, lines, pence
       from jsonb_to_recordset($1) as b (id text, scenario text, lines jsonb, pence int)`,
    [JSON.stringify(baskets)],
  );
}

/** Replaces the running release of the orders service with another. */
async function deploy(release: number): Promise<void> {
  await waitUntil(
    async () =>
      (await fixture.database.pool.query('update release set number = $1', [release])).rowCount === 1,
    { describe: `release ${release} is ready` },
  );
  for (const service of services.slice(0, 2)) service.kill();
}

/**
 * Kills, crashes of PostgreSQL, and a roll-back of the new release, until it is stopped. Each waits until all services
 * run again: on a busy machine a process that starts would be killed again and again.
 */
function faults(): { stop(): Promise<number> } {
  const stopped = new AbortController();
  let times = 0;
  const loop = (async () => {
    while (!stopped.signal.aborted) {
      // The pace of the faults: the load has to get somewhere between two of them, at moments that nothing in it decides.
      await delay(2_000 + Math.random() * 3_000, undefined, { signal: stopped.signal }).catch(
        () => undefined,
      );
      await waitUntil(() => stopped.signal.aborted || services.every(({ isRunning }) => isRunning), {
        describe: () =>
          `all services run again: ${services.map(({ output }) => output.slice(-500)).join('\n---\n')}`,
        timeoutMs: 120_000,
      });
      if (stopped.signal.aborted) return;
      times += 1;
      if (times % 4 === 0) await server.restart('immediate');
      else if (times % 6 === 1 && times > 1) await deploy(times % 12 === 7 ? 1 : 2);
      else services[Math.floor(Math.random() * services.length)]?.kill();
    }
  })();
  // It is awaited at the end; until then its failure must not end the process.
  loop.catch(() => undefined);
  return {
    async stop() {
      stopped.abort();
      await loop;
      return times;
    },
  };
}

/** Resolves stuck sagas, as an operator does: what cannot be shipped is handed over, what is not wanted is refunded. */
async function decide(): Promise<void> {
  const operations = new SagaOperations({ database });
  for (const { id, type } of await operations.list({ states: ['STUCK'] })) {
    const { instance } = await operations.show(id);
    const stuck = Object.entries(instance.steps).find(([, { status }]) => status.endsWith('stuck'));
    if (stuck === undefined) continue;
    const [step] = stuck;
    if (type === 'baskets.order' && step === 'ship') await operations.skip(id, 'ship', operator);
    else if (type === 'baskets.order' && step === 'payment') {
      const [child] = await operations.list({
        type: 'baskets.pay',
        states: ['COMPLETED', 'RUNNING'],
        keyPrefix: instance.key,
      });
      if (child !== undefined) await operations.compensate(child.id, operator);
    } else await operations.retry(id, step, operator);
  }
}

/** Baskets whose sagas have not ended, and the state of those sagas. */
async function left(): Promise<string[]> {
  const { rows } = await fixture.database.pool.query<{ what: string }>(
    `select concat_ws(' ', p.id, p.scenario, s.state, s.reason, s.content->>'steps', c.state, c.reason, c.content->>'steps') as what
       from plan p
       left join waybill.saga_ended e on e.saga_type = 'baskets.order' and e.saga_key = p.id
       left join waybill.saga s on s.saga_type = 'baskets.order' and s.saga_key = p.id
       left join waybill.saga c on c.parent_id = s.id
      where e.id is null`,
  );
  return rows.map(({ what }) => what);
}

/** How many sagas started by a shipping event have not ended. */
async function undelivered(): Promise<number> {
  const { rows } = await fixture.database.pool.query<{ n: number }>(
    `select (select count(*) from parcel)::int -
            (select count(*) from waybill.saga_ended where saga_type = 'baskets.deliver')::int as n`,
  );
  return rows[0]?.n ?? 0;
}

/** What does not agree with how the sagas ended. */
async function disagreements(): Promise<string[]> {
  const { rows } = await fixture.database.pool.query<{ what: string }>(`
    with ended as (
      select p.*, o.state as told, e.state, e.state = ${COMPLETED} as completed
        from plan p join orders o using (id)
        join waybill.saga_ended e on e.saga_type = 'baskets.order' and e.saga_key = p.id
    ), taken as (
      select l.sku, sum(l.pieces) as pieces
        from ended e, jsonb_to_recordset(e.lines) as l (sku text, pieces int) where e.completed group by l.sku
    )
    select 'stock of ' || s.sku || ' is ' || s.pieces as what
      from stock s left join taken t using (sku) where s.pieces <> 100000 - coalesce(t.pieces, 0)
    union all
    select e.id || ' has paid ' || coalesce(sum(g.pence), 0) || ' of ' || e.pence || ', state ' || e.state
      from ended e left join gateway_call g on g.order_id = e.id
     group by e.id, e.pence, e.completed, e.state having coalesce(sum(g.pence), 0) <> e.completed::int * e.pence
    union all
    select g.order_id || ' was charged behind its refund' from gateway_call g
     where g.pence > 0 and exists (select from gateway_call r where r.order_id = g.order_id and r.pence < 0 and r.id < g.id)
    union all
    select e.id || ' was told ' || e.told from ended e
     where e.told <> case e.state when ${COMPLETED} then 'COMPLETED' when ${COMPENSATED} then 'COMPENSATED' else 'CANCELLED' end
    union all
    select e.id || ' has ' || count(p) || ' parcels' from ended e left join parcel p on p.order_id = e.id
     group by e.id, e.completed, e.scenario having count(p) <> (e.completed and e.scenario <> 'no-lorry')::int
    union all
    select order_id || ' has ' || count(d) || ' deliveries' from parcel left join delivery d using (order_id)
     group by order_id having count(d) <> 1
    union all
    select d.order_id || ' was signed by ' || d.signed_by from delivery d where d.signed_by <> 'neighbour of ' || d.order_id
    union all
    select e.id || ' is ' || e.state || ' (' || e.scenario || ')' from ended e
     where e.state <> all (case e.scenario when 'good' then array[${COMPLETED}] when 'no-lorry' then array[${COMPLETED}]
                             when 'cancel' then array[${COMPLETED}, ${CANCELLED}] else array[${COMPENSATED}] end)`);
  return rows.map(({ what }) => what);
}

test(
  'baskets of lines, children after pivots, HTTP, webhooks, events, cancellations, a new release and its roll-back: all sums agree',
  async () => {
    const numbers = upTo(SAGAS);
    const half = Math.floor(SAGAS / 2);
    await plan(numbers.slice(0, half));
    // A lease must outlast the pauses of a busy machine: without it the members only take from each other.
    const settings = { url: fixture.url, gateway: gateway.url, leaseMs: 2_000 };
    services = [
      new Supervised('basket-orders', { ...settings, perSecond: 20 }),
      new Supervised('basket-orders', { ...settings, perSecond: 20 }),
      new Supervised('basket-participant', { ...settings, trouble: 0.05 }),
    ];
    await waitUntil(async () => (await left()).length < half, { describe: 'half of the baskets have ended' });
    // A new release under the same version, for the sagas that start from here on.
    await deploy(2);
    await plan(numbers.slice(half));
    const trouble = faults();
    let times = 0;
    let waiting: string[] = [];
    try {
      await waitUntil(
        async () => {
          await decide().catch(() => undefined);
          waiting = await left();
          return waiting.length === 0 && (await undelivered()) === 0;
        },
        {
          describe: () =>
            `every basket has ended and is delivered; ${waiting.length} have not: ${waiting.slice(0, 5).join('\n')}; ${services.map(({ output }) => output.slice(-500)).join('\n---\n')}`,
          timeoutMs: TIME_LIMIT_MS,
          intervalMs: 500,
        },
      );
    } finally {
      times = await trouble.stop();
    }
    expect(times).toBeGreaterThan(0);
    expect(await disagreements()).toEqual([]);
    const { rows } = await fixture.database.pool.query<{ state: number; n: number }>(
      `select state, count(*)::int as n from waybill.saga_ended where saga_type = 'baskets.order' group by 1`,
    );
    expect(rows.map(({ state }) => state)).toEqual(expect.arrayContaining([COMPLETED, COMPENSATED]));
    // The new release has audited only those that started with it.
    const { rows: audits } = await fixture.database.pool.query<{ n: number }>(
      'select count(*)::int as n from audit',
    );
    expect(audits[0]?.n).toBeGreaterThan(0);
    expect(audits[0]?.n).toBeLessThan(SAGAS);
  },
  TIME_LIMIT_MS + 60_000,
);

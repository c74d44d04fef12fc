import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import { type Fixture, upTo } from '../support/fixture.js';
import {
  disagreements,
  ends,
  orderFixture,
  plan,
  type PlannedOrder,
  Supervised,
  underWay,
} from '../support/saga/saga-orders.js';

/** 5,000 is the full size. */
const SAGAS = Number(process.env['WAYBILL_SAGAS'] ?? 400);
const isFull = SAGAS >= 2_000;
const PER_SECOND = isFull ? 100 : 40;
/** Between two kills, and between two crashes of PostgreSQL, in milliseconds. */
const FAULT_MIN_MS = 5_000;
const FAULT_MAX_MS = 10_000;
/** Several times what it takes on two cores, so that a busy machine does not fail it. */
const TIME_LIMIT_MS = 300_000 + 300 * SAGAS;
const COMPLETED = 4;
const COMPENSATED = 5;

const WAYS: Readonly<Record<string, { state: number; deeds: readonly string[] }>> = {
  good: { state: COMPLETED, deeds: ['reserve', 'charge', 'ship', 'confirm'] },
  'no-stock': { state: COMPENSATED, deeds: [] },
  'no-money': { state: COMPENSATED, deeds: ['reserve', 'release'] },
  'no-lorry': { state: COMPENSATED, deeds: ['reserve', 'charge', 'refund', 'release'] },
  hopeless: { state: COMPENSATED, deeds: ['reserve', 'charge', 'refund', 'release'] },
};

/** One order in ten fails in the business, and of one in a hundred the refund is refused. */
const ORDERS: readonly PlannedOrder[] = upTo(SAGAS).map((n) => {
  const fate = ['no-stock', 'no-money', 'no-lorry'][n % 3] as string;
  const scenario = n % 100 === 50 ? 'hopeless' : n % 10 === 0 ? fate : 'good';
  return { id: `order-${String(n).padStart(6, '0')}`, scenario };
});
const HOPELESS = ORDERS.filter(({ scenario }) => scenario === 'hopeless').length;

let server: EmbeddedPostgres;
let fixture: Fixture;
let services: Supervised[] = [];
beforeAll(async () => {
  // Its own server: other tests must not crash with it.
  server = await startPostgres();
  fixture = await orderFixture(server.connectionString);
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await fixture.close();
  await server.stop();
});

/** Does something at random intervals, until it is stopped. */
function every(work: () => Promise<void> | void): { stop(): Promise<number> } {
  let times = 0;
  const stopped = new AbortController();
  const loop = (async () => {
    for (;;) {
      const waitMs = FAULT_MIN_MS + Math.random() * (FAULT_MAX_MS - FAULT_MIN_MS);
      await delay(waitMs, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return;
      await work();
      times += 1;
    }
  })();
  return {
    async stop() {
      stopped.abort();
      await loop;
      return times;
    },
  };
}

/** Gives an order with the operators' command. */
async function waybill(...args: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({
    write: (text: string) => {
      printed += text;
    },
  } as never);
  await program.parseAsync(['node', 'waybill', '--database-url', fixture.url, 'saga', ...args]);
  return printed;
}

/** Waits until at most `most` sagas are running. */
async function untilLeft(most: number, timeoutMs: number): Promise<void> {
  let left: string[] = [];
  const look = async (): Promise<boolean> => {
    left = await underWay(fixture);
    return left.length <= most;
  };
  await waitUntil(look, {
    describe: () =>
      `at most ${most} sagas are left; there are ${left.length}, for example ${left.slice(0, 20).join(', ')}; ` +
      services.map(({ output }) => output.slice(-1_500)).join('\n---\n'),
    timeoutMs,
    intervalMs: 200,
  });
}

test(
  'services are killed and PostgreSQL crashes, while handlers fail: every saga ends, and all services agree',
  async () => {
    await plan(fixture, ORDERS);
    const settings = { url: fixture.url, planned: false };
    const failing = { trouble: 0.05, retry: { immediateAttempts: 1, delayMs: 20, maxAttempts: 3 } };
    services = [
      new Supervised('saga-orders', { ...settings, perSecond: PER_SECOND }),
      ...['stock', 'payments', 'shipping'].map(
        (group) => new Supervised('saga-participant', { ...settings, ...failing, group }),
      ),
    ];
    const began = performance.now();
    const kills = every(() => services[Math.floor(Math.random() * services.length)]?.kill());
    const crashes = every(() => server.restart('immediate'));
    let faults: number[] = [];
    try {
      await untilLeft(HOPELESS, TIME_LIMIT_MS);
    } finally {
      faults = await Promise.all([kills.stop(), crashes.stop()]);
    }
    const [killed, crashed] = faults;
    const seconds = (performance.now() - began) / 1_000;
    expect(killed).toBeGreaterThan(0);
    expect(crashed).toBeGreaterThan(0);
    // Those whose refund is permanently refused are left to an operator.
    const stuck = await stuckSagas();
    expect(stuck).toHaveLength(HOPELESS);
    const [byHand, ...others] = stuck;
    await payBack(byHand as string);
    await waybill(
      'resolve',
      byHand as string,
      'charge',
      '{}',
      '--yes',
      '--by',
      'ada',
      '--because',
      'paid in cash',
    );
    await fixture.database.pool.query('insert into cured default values');
    for (const id of others) await waybill('retry', id, 'charge', '--yes', '--by', 'ada');
    await untilLeft(0, 60_000);
    const found = await ends(fixture);
    const expected = ORDERS.map(({ id, scenario }) => ({ id, ...WAYS[scenario] }));
    expect(found.map(({ id, state, deeds }) => ({ id, state, deeds }))).toEqual(expected);
    expect(await disagreements(fixture)).toEqual([]);
    if (isFull)
      process.stderr.write(
        `${SAGAS} sagas in ${Math.round(seconds)} s, ${killed} processes killed, ${crashed} crashes of PostgreSQL, ` +
          `${stuck.length} stuck and resolved\n`,
      );
  },
  TIME_LIMIT_MS + 300_000,
);

/** The ids of the stuck ones, as the command lists them once they are stuck. */
async function stuckSagas(): Promise<string[]> {
  let ids: string[] = [];
  await waitUntil(
    async () => {
      const printed = await waybill('list', '--state', 'STUCK', '--limit', '1000');
      ids = printed.match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? [];
      return ids.length >= HOPELESS;
    },
    { describe: () => `${HOPELESS} are stuck, not ${ids.length}`, timeoutMs: 60_000, intervalMs: 500 },
  );
  return ids;
}

/** What an operator does outside any saga. */
async function payBack(sagaId: string): Promise<void> {
  await fixture.database.pool.query(
    `with paid as (insert into deed (saga, what) values ($1, 'refund'))
     insert into payment (order_id, pence)
     select p.order_id, -p.pence from payment p join orders o on o.id = p.order_id where o.saga_id = $1`,
    [sagaId],
  );
}

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Headers } from '@waybill/consumer';
import { saga, sagaCommand, type SagaDefinition, SagaOngoingError, SagaRejectedError } from '@waybill/saga';
import { testServerUrl } from '@waybill/testing';
import { type CrashPoint, SagaTestEnvironment } from '@waybill/testing/saga';
import pg from 'pg';
import { PlainService } from './support/plain-service.js';
import { ENDS_A_LEASE, FALLS_DUE, IS_KEPT } from './support/times.js';

const DAY = 86_400_000;
const server = { connectionString: testServerUrl() };

const reserve = sagaCommand<{ n: string }>('stock.reserve');
const release = sagaCommand<{ n: string }>('stock.release');
const charge = sagaCommand<{ n: string }>('payments.charge');
const mail = sagaCommand<{ n: string }>('mail.remind');
const ship = sagaCommand<{ n: string }>('parcels.ship');
type Named = { n: string };
const withName = { with: ({ n }: Named) => ({ n }) };

const paid = saga<Named>('paid')
  .step('reserve', { invoke: reserve, ...withName, undo: { invoke: release, ...withName } })
  .waitFor('payment', { timeoutMs: 7 * DAY, remind: { everyMs: DAY, invoke: mail, ...withName } })
  .build();
const patient = saga<Named>('patient')
  .waitFor('payment', { remind: { everyMs: DAY, invoke: mail, ...withName } })
  .build();
const slow = saga<Named>('slow')
  .step('reserve', { invoke: reserve, ...withName, undo: { invoke: release, ...withName } })
  .sleep('season', 120 * DAY)
  .step('charge', { invoke: charge, ...withName })
  .build();
const shipped = saga<Named>('shipped')
  .step('ship', { invoke: ship, ...withName, policy: { timeoutMs: 3 * DAY, maxAttempts: 1 } })
  .build();

const definitions = [paid, patient, slow, shipped] as unknown as SagaDefinition[];

/** Commands with a later reply, by subject. */
const ongoing = new Map<string, Headers>();
const failedOnce = new Set<string>();

const note =
  (what: string) =>
  async ({ payload }: { payload: unknown }, client: pg.PoolClient): Promise<void> => {
    await client.query('insert into deed (what, n) values ($1, $2)', [what, (payload as Named).n]);
  };

const services = {
  orders: (url: string) => PlainService.start(url, { group: 'orders', definitions }),
  others: (url: string) =>
    PlainService.start(url, {
      group: 'others',
      serves: {
        [reserve.topic]: note('reserve'),
        [release.topic]: note('release'),
        [mail.topic]: note('mail'),
        [charge.topic]: async () => {
          throw new SagaRejectedError('no money');
        },
        [ship.topic]: async ({ payload, control }) => {
          ongoing.set((payload as Named).n, control);
          throw new SagaOngoingError({ hasEffect: false });
        },
      },
      hears: {
        'shop.news': async (delivery, client) => {
          const { n } = delivery.payload as Named;
          if (n.startsWith('fails') && !failedOnce.has(n)) {
            failedOnce.add(n);
            throw new Error('not yet');
          }
          await note('news')(delivery, client);
        },
      },
    }),
};

type Environment = SagaTestEnvironment<typeof services>;

const start = ({ timeoutMs = 15_000 }): Promise<Environment> =>
  SagaTestEnvironment.start({ server, services, setUp: createDeeds, timeoutMs });

async function createDeeds(url: string): Promise<void> {
  await query(
    url,
    'create table deed (id bigint generated always as identity, what text, n text, at timestamptz default now())',
  );
}

async function query<Row extends object>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

let env: Environment;
beforeAll(async () => {
  env = await start({});
});
afterAll(() => env.close());

/** Starts a saga. @returns its id */
async function begin(definition: typeof paid, n: string, within = env): Promise<string> {
  const orders = within.service('orders');
  const started = await orders.transaction((client) =>
    orders.sagas.start(client, definition, { key: n, data: { n } }),
  );
  return started.id;
}

/** What was done, and in which half of which day since `from`, in order. */
async function deeds(n: string, from: Date, within = env): Promise<string[]> {
  const rows = await query<{ what: string; at: Date }>(
    within.connectionString,
    'select what, at from deed where n like $1 order by id',
    [n],
  );
  return rows.map(({ what, at }) => `${what} ${((at.getTime() - from.getTime()) / DAY).toFixed(1)}`);
}

describe('skipped time', () => {
  test('brings everything that falls due in it, each at its time: reminders, the time-out, the compensation', async () => {
    const from = await env.now();
    const id = await begin(paid, 'A');
    await env.skip(3 * DAY);
    expect(await deeds('A', from)).toEqual(['reserve 0.0', 'mail 1.0', 'mail 2.0', 'mail 3.0']);
    await expect(env.until(id, 'RUNNING')).resolves.toMatchObject({ key: 'A' });
    await env.skip(4 * DAY);
    const { reason } = await env.until('paid', 'A', 'COMPENSATED');
    expect(reason).toMatch(/payment/);
    expect((await deeds('A', from)).slice(4)).toEqual(['mail 4.0', 'mail 5.0', 'mail 6.0', 'release 7.0']);
    expect((await env.now()).getTime() - from.getTime()).toBeGreaterThan(7 * DAY);
  });

  test('fires timers in order', async () => {
    const from = await env.now();
    const { outbox, transaction } = bound(env.service('orders'));
    await transaction(async (client) => {
      for (const days of [5, 1, 3, 7, 2])
        await outbox.publish(client, { topic: 'shop.news', payload: { n: `T${days}` }, delayMs: days * DAY });
    });
    await env.skip(7 * DAY + 1_000);
    expect(await deeds('T%', from)).toEqual(['news 1.0', 'news 2.0', 'news 3.0', 'news 5.0', 'news 7.0']);
  });

  test('brings the next attempt of a failed message', async () => {
    const { outbox, transaction } = bound(env.service('orders'));
    await transaction((client) => outbox.publish(client, { topic: 'shop.news', payload: { n: 'fails' } }));
    await env.quiet();
    const from = await env.now();
    expect(await deeds('fails', from)).toEqual([]);
    await env.skip(70_000);
    expect(await deeds('fails', from)).toEqual(['news 0.0']);
  });

  test('counts for a step’s time-out, which a participant restarts by reporting that it is still working', async () => {
    const id = await begin(shipped, 'S1');
    await env.quiet();
    await env.skip(2 * DAY);
    const { participant, transaction } = bound(env.service('others'));
    const control = ongoing.get('S1') as Headers;
    await transaction((client) => participant.reply(client, control, { status: 'ongoing' }));
    await env.skip(2 * DAY);
    await env.until(id, 'RUNNING');
    await transaction((client) => participant.reply(client, control, { status: 'done' }));
    await env.until(id, 'COMPLETED');
    const late = await begin(shipped, 'S2');
    await env.skip(3 * DAY);
    await env.until(late, 'COMPENSATED');
  });

  test('makes nothing too old: a saga of 120 days compensates its first step, and new ones begin', async () => {
    const from = await env.now();
    const id = await begin(slow, 'L');
    await env.skip(120 * DAY);
    await env.until(id, 'COMPENSATED');
    expect(await deeds('L', from)).toEqual(['reserve 0.0', 'release 120.0']);
    await begin(paid, 'after');
    await env.quiet();
    expect(await deeds('after', from)).toEqual(['reserve 120.0']);
  });

  test('of a year with a daily reminder passes without it', async () => {
    const from = await env.now();
    await begin(patient, 'Y');
    await env.skip(365 * DAY);
    const done = await deeds('Y', from);
    expect(done).toEqual(Array.from({ length: 365 }, (_, day) => `mail ${day + 1}.0`));
  });
});

describe('an environment', () => {
  test('reports the story of a saga that does not reach a state, and what would move it on', async () => {
    const hasty = await start({ timeoutMs: 1_000 });
    try {
      const id = await begin(paid, 'E', hasty);
      await hasty.quiet();
      const waiting = await hasty.until('paid', 'E', 'COMPLETED').catch((error: unknown) => error);
      expect(waiting).toMatchObject({ name: 'TestingError', code: 'SAGA_STATE_MISSED' });
      expect(String(waiting)).toMatch(/saga paid E falls due at .*env\.skip/);
      expect(String(waiting)).toContain('step payment: running');
      expect(String(waiting)).toContain('<- reply reserve action done');
      await hasty.skip(7 * DAY);
      const ended = await hasty.until(id, 'COMPLETED').catch((error: unknown) => error);
      expect(String(ended)).toMatch(/it has ended\.\nsaga paid E .* is COMPENSATED/);
      expect(await hasty.story(id)).toContain('-> command reserve compensate attempt 1 to stock.release');
      await expect(hasty.until('paid', 'nowhere', 'COMPLETED')).rejects.toThrow(/There is no such saga/);
    } finally {
      await hasty.close();
    }
  });

  test('reports which crash points were not reached, and refuses impossible ones', async () => {
    const own = await start({ timeoutMs: 500 });
    await expect(
      own.crash('nobody' as 'orders', { at: 'ship', when: 'before-commit' }),
    ).rejects.toMatchObject({
      code: 'SERVICE_UNKNOWN',
    });
    const refused = [
      { when: 'before-commit' },
      { at: 'ship', when: 'later' },
      { at: 'ship', op: 'undo', when: 'before-commit' },
      { transition: 'ship', when: 'before-action' },
    ];
    for (const point of refused)
      await expect(own.crash('orders', point as unknown as CrashPoint)).rejects.toMatchObject({
        code: 'CRASH_POINT_INVALID',
      });
    const crash = await own.crash('others', { at: 'ship', when: 'before-commit' });
    await expect(crash.happened()).rejects.toMatchObject({ code: 'CRASH_POINT_MISSED' });
    const name = new URL(own.connectionString).pathname.slice(1);
    await expect(own.close()).rejects.toMatchObject({
      code: 'CRASH_POINT_MISSED',
      message: expect.stringContaining('others before-commit of step ship'),
    });
    const sql = 'select datname from pg_database where datname = $1';
    expect(await query(server.connectionString, sql, [name])).toEqual([]);
  });

  test('reports which service does not start, and removes all data', async () => {
    // Other suites create and drop databases on this server meanwhile.
    let name = '';
    let closed = 0;
    const sound = async (url: string) => {
      name = new URL(url).pathname.slice(1);
      return { close: () => void (closed += 1) };
    };
    const broken = async (): Promise<{ close(): void }> => {
      throw new Error('no configuration');
    };
    await expect(SagaTestEnvironment.start({ server, services: { sound, broken } })).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: expect.stringMatching(/broken .*no configuration/),
    });
    expect(closed).toBe(1);
    const sql = 'select datname from pg_database where datname = $1';
    expect(name).toMatch(/^saga_test/);
    expect(await query(server.connectionString, sql, [name])).toEqual([]);
  });

  test('has its own time and crash points', async () => {
    const other = await start({});
    try {
      const crash = await other.crash('others', { at: 'reserve', when: 'before-commit' });
      const [here, there] = [await env.now(), await other.now()];
      const id = await begin(paid, 'O');
      await env.until(id, 'RUNNING');
      await env.quiet();
      await begin(paid, 'O', other);
      await crash.happened();
      await other.skip(DAY);
      expect(await deeds('O', there, other)).toEqual(['reserve 0.0', 'mail 1.0']);
      expect(await deeds('O', here)).toEqual(['reserve 0.0']);
    } finally {
      await other.close();
    }
  });

  test('cannot put the clock of a database forward for a user that is not a superuser', async () => {
    const url = new URL(server.connectionString);
    await query(server.connectionString, `create role plain_tester login createdb password 'plain'`);
    try {
      url.username = 'plain_tester';
      url.password = 'plain';
      await expect(
        SagaTestEnvironment.start({ server: { connectionString: url.href }, services: {} }),
      ).rejects.toMatchObject({ code: 'SUPERUSER_REQUIRED' });
    } finally {
      await query(server.connectionString, 'drop role plain_tester');
    }
  });

  test('knows every time that Waybill stores, and which of them cause something when they come', async () => {
    const rows = await query<{ name: string }>(
      env.connectionString,
      `select c.table_name || '.' || c.column_name as name from information_schema.columns c
        where c.table_schema = 'waybill' and c.data_type = 'timestamp with time zone'
          and not exists (select from pg_inherits i where i.inhrelid = format('waybill.%I', c.table_name)::regclass)
        order by 1`,
    );
    const known = [...FALLS_DUE, ...ENDS_A_LEASE, ...IS_KEPT].toSorted();
    expect(rows.map(({ name }) => name).toSorted()).toEqual(known);
  });
});

/** Methods that are passed detached from their object. */
function bound(service: PlainService): Pick<PlainService, 'outbox' | 'participant' | 'transaction'> {
  const { outbox, participant } = service;
  return { outbox, participant, transaction: (work) => service.transaction(work) };
}

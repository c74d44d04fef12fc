import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseUnavailableError, PgDatabase } from '@waybill/kernel';
import { HalfMessageRetention } from '@waybill/half-message';
import { Timers, TimerService } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';
import { HalfFloor, order } from '../support/half-operations.js';

let fixture: Fixture;
let floor: HalfFloor;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: {}, invoices: { partitions: 2 } });
  floor = new HalfFloor(fixture);
});
afterEach(() => fixture.close());

const delivered = async (): Promise<number[]> => numbersOf(await fixture.sentLog());

describe('a half message', () => {
  test('is invisible until it is committed, and is in the log once, however often it is committed', async () => {
    const { id } = await floor.halves.prepare({ ...order(1), headers: { by: 'ann' } });
    expect(await delivered()).toEqual([]);
    expect(await floor.operations.show(id)).toMatchObject({
      state: 'prepared',
      group: 'payments',
      checks: 0,
    });
    expect(await floor.halves.commit(id)).toBe('done');
    expect(await floor.halves.commit(id)).toBe('already');
    const records = await fixture.sentLog();
    expect(records).toMatchObject([{ key: 'key-1', payload: { n: 1 }, headers: { by: 'ann' } }]);
    expect(await floor.operations.show(id)).toMatchObject({
      state: 'committed',
      decidedBy: 'producer',
      payloads: null,
    });
    expect(records[0]?.id).toBe((await floor.operations.show(id)).messages[0]?.id);
  });

  test('that was rolled back is not delivered, and refuses to be committed', async () => {
    const { id } = await floor.halves.prepare(order(1));
    expect(await floor.halves.rollback(id)).toBe('done');
    expect(await floor.halves.rollback(id)).toBe('already');
    await expect(floor.halves.commit(id)).rejects.toMatchObject({
      code: 'HALF_MESSAGE_DECIDED',
      state: 'rolled-back',
      decidedBy: 'producer',
    });
    const { id: other } = await floor.halves.prepare(order(2));
    await floor.halves.commit(other);
    await expect(floor.halves.rollback(other)).rejects.toMatchObject({ code: 'HALF_MESSAGE_DECIDED' });
    expect(await delivered()).toEqual([2]);
  });

  test('that does not exist gives an error, and one with an invalid message is refused', async () => {
    await expect(floor.halves.commit('0190a3a0-0000-7000-8000-000000000000')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(floor.halves.prepare({ topic: 'nowhere', payload: 1 })).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
    });
    await expect(floor.halves.prepare({ ...order(1), partition: 99 })).rejects.toMatchObject({
      code: 'MESSAGE_INVALID',
    });
    await expect(floor.halves.prepare([])).rejects.toThrow('must hold 1 to 1000 messages');
    await expect(floor.halves.prepare(order(1), { checkMax: 0 })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
    expect(await floor.operations.stats()).toEqual({ open: 0, undecided: 0, oldestOpenAgeMs: null });
  });

  test('with several messages delivers all of them or none, over topics and partitions', async () => {
    const several = upTo(50).map((n) => (n % 5 === 0 ? { ...order(n), topic: 'invoices' } : order(n)));
    const { id } = await floor.halves.prepare(several);
    const { id: rolledBack } = await floor.halves.prepare([order(100), order(101)]);
    await floor.halves.commit(id);
    await floor.halves.rollback(rolledBack);
    expect(await delivered()).toEqual(upTo(50).filter((n) => n % 5 !== 0));
    expect(numbersOf(await fixture.sentLog('invoices'))).toEqual(upTo(50).filter((n) => n % 5 === 0));
  });

  test('with delayed messages schedules them when it is committed; delays count from then', async () => {
    const timers = new Timers(fixture.database.session);
    const { id } = await floor.halves.prepare([
      order(1),
      { ...order(2), delayMs: 100, timerToken: 'soon' },
      { ...order(3), deliverAt: new Date(Date.now() + 3_600_000), timerToken: 'later' },
      { ...order(4), deliverAt: new Date(1_000), ttlMs: 60_000 },
    ]);
    expect((await timers.stats()).pending).toBe(0);
    await floor.halves.commit(id);
    expect((await timers.stats()).pending).toBe(2);
    expect(await timers.cancel({ token: 'later' })).toBe(1);
    const { database, engine: log } = fixture;
    const service = new TimerService({ database, log });
    service.start();
    await waitUntil(async () => (await delivered()).includes(2), {
      describe: 'the delayed one is delivered',
    });
    await service.stop();
    expect(await delivered()).toEqual([1, 2, 4]);
    const expiring = (await fixture.sentLog()).find(({ payload }) => payload.n === 4);
    expect(Number(expiring?.headers['waybill-expires-at'])).toBeGreaterThan(Date.now() + 50_000);
  });

  test('is executed around local work: delivered when that succeeds, rolled back when it throws', async () => {
    expect(await floor.halves.execute(order(1), async ({ id }) => id.length)).toBe(36);
    await expect(floor.halves.execute(order(2), () => Promise.reject(new Error('no cover')))).rejects.toThrow(
      'no cover',
    );
    expect(await delivered()).toEqual([1]);
    const decided = await floor.operations.list({ states: ['committed', 'rolled-back'] });
    expect(decided.map(({ state }) => state)).toEqual(['committed', 'rolled-back']);
    expect((await floor.operations.stats()).open).toBe(0);
  });

  test('whose local work lost a database is left to check-back instead of being rolled back', async () => {
    const cause = new DatabaseUnavailableError('the connection broke while COMMIT was answered');
    await expect(floor.halves.execute(order(1), () => Promise.reject(cause))).rejects.toMatchObject({
      code: 'HALF_MESSAGE_OPEN',
      cause,
    });
    expect(await floor.operations.list()).toMatchObject([{ state: 'prepared' }]);
  });

  test('that is committed by many processes at once is delivered once', async () => {
    for (const n of upTo(20)) {
      const { id } = await floor.halves.prepare(order(n));
      const others = upTo(5).map(() => new HalfFloor(fixture).halves);
      const outcomes = await Promise.all(others.map((halves) => halves.commit(id)));
      expect(outcomes.toSorted()).toEqual(['already', 'already', 'already', 'already', 'done']);
    }
    expect(faultsOf(await fixture.sentLog())).toEqual([]);
    expect(await delivered()).toEqual(upTo(20));
  });

  test('that was rolled back in the meantime does not prevent the commit of others in the same transaction', async () => {
    const other = new HalfFloor(fixture).halves;
    const ends = await Promise.allSettled(
      upTo(60).map((n) =>
        floor.halves.execute(order(n), async ({ id }) => {
          if (n % 10 === 7) await other.rollback(id);
        }),
      ),
    );
    const refused = ends.flatMap((end, n) => (end.status === 'rejected' ? [n] : []));
    expect(refused).toEqual([7, 17, 27, 37, 47, 57]);
    expect(await delivered()).toEqual(upTo(60).filter((n) => n % 10 !== 7));
    expect(faultsOf(await fixture.sentLog())).toEqual([]);
  });

  test('that is committed and rolled back at once ends in one of the two ways', async () => {
    let committed = 0;
    for (const n of upTo(40)) {
      const { id } = await floor.halves.prepare(order(n));
      const ends = await Promise.allSettled([
        new HalfFloor(fixture).halves.commit(id),
        new HalfFloor(fixture).halves.rollback(id),
      ]);
      expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      if (ends[0].status === 'fulfilled') committed += 1;
    }
    expect((await delivered()).length).toBe(committed);
  });
});

describe('a lost response to commit', () => {
  let bus: PgDatabase;
  beforeEach(() => {
    bus = new PgDatabase({ connectionString: fixture.url, applicationName: 'doomed' });
  });
  afterEach(() => bus.close());

  /**
   * Locks the row of a half while `commit` is running, kills the committing session at the row, and releases the lock.
   */
  const killWhileItCommits = async (id: string, commit: () => Promise<unknown>): Promise<unknown> => {
    const client = await fixture.database.pool.connect();
    try {
      await client.query('begin');
      await client.query('select from waybill.half_message where id = $1 for update', [id]);
      const committing = commit();
      committing.catch(() => undefined);
      await waitUntil(
        async () => {
          const { rowCount } = await fixture.database.pool.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
              where application_name = 'doomed' and datname = current_database() and wait_event_type = 'Lock'`,
          );
          return rowCount === 1;
        },
        { describe: 'the commit waits for the row' },
      );
      await client.query('rollback');
      return await committing;
    } finally {
      client.release();
    }
  };

  test('makes the commit retry: the message is delivered once, by hand and by execute', async () => {
    const halves = floor.halvesOf(bus);
    const { id } = await halves.prepare(order(1));
    expect(await killWhileItCommits(id, () => halves.commit(id))).toBe('done');
    let begun: (id: string) => void = () => undefined;
    let goOn: () => void = () => undefined;
    const working = new Promise<string>((resolve) => (begun = resolve));
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const executing = halves.execute(order(2), async (half) => {
      begun(half.id);
      await gate;
      return half.id;
    });
    const second = await working;
    const commit = (): Promise<unknown> => {
      goOn();
      return executing;
    };
    expect(await killWhileItCommits(second, commit)).toBe(second);
    expect(await delivered()).toEqual([1, 2]);
  });

  test('whose commit went through is recognised as such', async () => {
    const halves = floor.halvesOf(bus);
    const { id } = await halves.prepare(order(1));
    const decide = halves.store.decide.bind(halves.store);
    let calls = 0;
    halves.store.decide = async (...given) => {
      const outcome = await decide(...given);
      calls += 1;
      if (calls === 1) throw new DatabaseUnavailableError('the answer was lost');
      return outcome;
    };
    expect(await halves.commit(id)).toBe('already');
    expect(await delivered()).toEqual([1]);
  });

  test('that cannot be resolved reports that check-back decides', async () => {
    const halves = floor.halvesOf(bus, { resolveMs: 300 });
    halves.store.commitStored = () => Promise.reject(new DatabaseUnavailableError('away'));
    const failed = await halves.execute(order(1), async () => 'worked').catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'HALF_MESSAGE_OPEN', retryable: false });
    expect(String(failed)).toContain('check-back');
    expect(await floor.operations.list()).toHaveLength(1);
  });
});

test('decided half messages are removed by days; open ones stay', async () => {
  const open = await floor.halves.prepare(order(0));
  for (const n of [1, 2]) await floor.halves.commit((await floor.halves.prepare(order(n))).id);
  await fixture.database.pool.query(
    `insert into waybill.half_message_decided (slot, id, producer_group, state, prepared_at, decided_at, decided_by,
                                               checks, messages)
     select ((floor(extract(epoch from clock_timestamp()) / 86400)::bigint + 1) % 9)::smallint, gen_random_uuid(), 'payments',
            2, clock_timestamp(), clock_timestamp() - interval '8 days', 'producer', 0, '[]' from generate_series(1, 100)`,
  );
  await new HalfMessageRetention(fixture.database).runOnce();
  expect(await fixture.value('select count(*)::int from waybill.half_message_decided')).toBe(2);
  await new HalfMessageRetention(fixture.database, { decidedMs: 0 }).runOnce();
  expect(await fixture.value('select count(*)::int from waybill.half_message_decided')).toBe(0);
  expect(await floor.halves.commit(open.id)).toBe('done');
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type EffectCall,
  type EffectQueryResult,
  ExternalEffects,
  type ExternalEffectsOptions,
  GuardRetention,
} from '@waybill/guard';
import { EffectRefusedError, PgSession, type SqlSession, systemClock } from '@waybill/kernel';
import { type PgQueryable } from '@waybill/kernel/internal';
import { waitUntil } from '@waybill/testing';
import { endEffectLease } from '../support/effects.js';
import { Fixture } from '../support/fixture.js';
import { Gateway } from '../support/gateway.js';

interface Receipt {
  readonly receipt: number;
}

let fixture: Fixture;
let gateway: Gateway;
beforeAll(async () => {
  fixture = await Fixture.create({});
  gateway = await Gateway.start();
});
afterAll(async () => {
  await gateway.close();
  await fixture.close();
});

let keys = 0;
let key: string;
beforeEach(() => {
  keys += 1;
  key = `charge-${keys}`;
  for (const name of Object.keys(gateway.mood)) delete (gateway.mood as Record<string, unknown>)[name];
});

const send = (method: string, { idempotencyKey, signal }: EffectCall) =>
  fetch(gateway.url, { method, signal, headers: { 'idempotency-key': idempotencyKey } });

async function attempt(call: EffectCall): Promise<Receipt> {
  const response = await send('POST', call);
  const body = (await response.json()) as Receipt & { reason: string };
  if (response.status === 402) throw new EffectRefusedError(body.reason);
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  return body;
}

async function query(call: EffectCall): Promise<EffectQueryResult<Receipt>> {
  const response = await send('GET', call);
  if (response.status === 404) return { state: 'not-done' };
  return response.ok ? { state: 'done', outcome: (await response.json()) as Receipt } : { state: 'unknown' };
}

const effectsOf = (options: ExternalEffectsOptions = {}) =>
  new ExternalEffects(fixture.database.session, options);
/** What is in progress is so however slow this machine is: `endLease` ends the lease, and no time that passes. */
const LONG = { leaseMs: 600_000, timeoutMs: 300_000 };
const endLease = () => endEffectLease(fixture, key);
const charge = (options: ExternalEffectsOptions = {}) => effectsOf(options).run({ key, attempt, query });
const undo = (options: ExternalEffectsOptions = {}) => effectsOf(options).undo({ key, query, undo: attempt });
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code: string }) => error.code,
  );
/** Charges repeatedly until the outcome is known. */
async function chargeToTheEnd(): Promise<unknown> {
  let end: unknown;
  await waitUntil(
    async () => {
      end = await charge().catch((error: { code: string; retryable: boolean }) =>
        error.retryable ? undefined : error.code,
      );
      return end !== undefined;
    },
    { describe: () => 'the charge has ended' },
  );
  return end;
}

describe('an external effect', () => {
  test('happens once, and later callers get its outcome without another call', async () => {
    const first = await charge();
    expect(first).toEqual({ receipt: expect.any(Number) });
    expect(await charge()).toEqual(first);
    expect([gateway.done(key), gateway.calls(key)]).toEqual([1, 1]);
  });

  test('is stored as attempted before the call', async () => {
    let rows = 0;
    gateway.mood.before = async () => {
      rows = await fixture.value<number>('select count(*)::int from waybill.external_effect where key = $1', [
        key,
      ]);
    };
    await charge();
    expect(rows).toBe(1);
  });

  test('is attempted by one of many callers; the others get an error', async () => {
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => charge({ leaseMs: 30_000 })));
    const failed = all.filter((one) => one.status === 'rejected').map(({ reason }) => reason.code as string);
    expect(new Set(failed)).toEqual(new Set(failed.length === 0 ? [] : ['EFFECT_IN_PROGRESS']));
    expect(gateway.calls(key)).toBe(1);
    expect(await charge()).toMatchObject({ receipt: expect.any(Number) });
  });

  test('whose response was lost is queried, and not attempted again', async () => {
    gateway.mood.cuts = true;
    expect(await codeOf(charge(LONG))).toBe('EFFECT_UNKNOWN');
    expect(await codeOf(charge())).toBe('EFFECT_IN_PROGRESS');
    gateway.mood.cuts = false;
    await endLease();
    expect(await chargeToTheEnd()).toMatchObject({ receipt: expect.any(Number) });
    expect([gateway.done(key), gateway.calls(key)]).toEqual([1, 1]);
  });

  test('that has not happened is attempted again', async () => {
    gateway.mood.broken = true;
    expect(await codeOf(charge(LONG))).toBe('EFFECT_UNKNOWN');
    gateway.mood.broken = false;
    await endLease();
    expect(await chargeToTheEnd()).toMatchObject({ receipt: expect.any(Number) });
    expect([gateway.done(key), gateway.calls(key)]).toEqual([1, 2]);
  });

  test('that cannot be queried stays unknown, and is not attempted', async () => {
    gateway.mood.broken = true;
    await codeOf(charge(LONG));
    gateway.mood.deaf = true;
    await endLease();
    expect(await codeOf(charge())).toBe('EFFECT_UNKNOWN');
    // The next caller may query at once.
    expect(await codeOf(charge())).toBe('EFFECT_UNKNOWN');
    expect(gateway.calls(key)).toBe(1);
    expect(await codeOf(undo())).toBe('EFFECT_UNKNOWN');
  });

  test('that was refused stays refused, with the reason', async () => {
    gateway.mood.declines = true;
    await expect(charge()).rejects.toMatchObject({ code: 'EFFECT_REFUSED', reason: 'no cover' });
    gateway.mood.declines = false;
    await expect(charge()).rejects.toMatchObject({ code: 'EFFECT_REFUSED', reason: 'no cover' });
    expect(gateway.calls(key)).toBe(1);
    expect(await undo()).toEqual({ state: 'nothing' });
  });

  test('the call is aborted before the lease ends', async () => {
    gateway.mood.mute = true;
    let aborted = false;
    const begunAt = performance.now();
    const slow = (call: EffectCall) => {
      call.signal.addEventListener('abort', () => (aborted = true));
      return attempt(call);
    };
    await codeOf(effectsOf({ leaseMs: 60_000, timeoutMs: 100 }).run({ key, attempt: slow, query }));
    expect(aborted).toBe(true);
    expect(performance.now() - begunAt).toBeLessThan(50_000);
  });

  test('is not attempted by a process that was paused until its lease was over', async () => {
    const { session } = fixture.database;
    const slow: SqlSession = {
      schema: session.schema,
      run: async (...given) => {
        const rows = await session.run(...given);
        await systemClock.sleep(200);
        return rows;
      },
    };
    let attempts = 0;
    const counted = (call: EffectCall) => {
      attempts += 1;
      return attempt(call);
    };
    const late = new ExternalEffects(slow, { leaseMs: 150, timeoutMs: 100 });
    expect(await codeOf(late.run({ key, attempt: counted, query }))).toBe('EFFECT_UNKNOWN');
    expect(attempts).toBe(0);
  });
});

describe('undoing', () => {
  test('what was not attempted prevents the attempt', async () => {
    expect(await undo()).toEqual({ state: 'nothing' });
    expect(await codeOf(charge())).toBe('EFFECT_UNDONE');
    expect(await undo()).toEqual({ state: 'nothing' });
    expect(gateway.calls(key)).toBe(0);
  });

  test('what was done undoes it, once', async () => {
    await charge();
    const undone = await undo();
    expect(undone).toMatchObject({ state: 'undone', outcome: { receipt: expect.any(Number) } });
    expect(await undo()).toEqual(undone);
    expect([gateway.done(`${key}:undo`), gateway.calls(`${key}:undo`)]).toEqual([1, 1]);
  });

  test('waits for the lease of a running attempt', async () => {
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    gateway.mood.before = () => gate;
    const charging = charge(LONG);
    await waitUntil(() => gateway.calls(key) === 1, { describe: () => 'the call is running' });
    expect(await codeOf(undo({ ...LONG, undoWaitMs: 0 }))).toBe('EFFECT_IN_PROGRESS');
    const undoing = undo(LONG);
    letGo();
    expect(await undoing).toMatchObject({ state: 'undone' });
    expect(await charging).toMatchObject({ receipt: expect.any(Number) });
    expect([gateway.done(key), gateway.done(`${key}:undo`)]).toEqual([1, 1]);
  });

  test('queries what was left open: done is undone, not done is given up', async () => {
    gateway.mood.cuts = true;
    await codeOf(charge(LONG));
    gateway.mood.cuts = false;
    await endLease();
    expect(await undo()).toMatchObject({ state: 'undone' });
    keys += 1;
    key = `charge-${keys}`;
    gateway.mood.broken = true;
    await codeOf(charge(LONG));
    gateway.mood.broken = false;
    await endLease();
    expect(await undo()).toEqual({ state: 'nothing' });
    expect(await codeOf(charge())).toBe('EFFECT_UNDONE');
    expect(gateway.done(key)).toBe(0);
  });

  test('a call that goes through after it was given up is reported, and can be undone', async () => {
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    gateway.mood.before = () => gate;
    // It ignores its signal, and its process is paused beyond its lease.
    const late = effectsOf({ leaseMs: 600, timeoutMs: 300 }).run({
      key,
      query,
      attempt: async () => attempt({ idempotencyKey: key, signal: new AbortController().signal }),
    });
    late.catch(() => undefined);
    await waitUntil(() => gateway.calls(key) === 1, { describe: () => 'the call is running' });
    expect(await undo()).toEqual({ state: 'nothing' });
    expect(await codeOf(late)).toBe('EFFECT_UNKNOWN');
    letGo();
    gateway.mood.before = async () => undefined;
    await waitUntil(async () => (await undo()).state === 'undone', {
      describe: () => 'the call that went through is undone',
    });
    expect(await codeOf(charge())).toBe('EFFECT_UNDONE');
    expect([gateway.done(key), gateway.done(`${key}:undo`)]).toEqual([1, 1]);
  });
});

describe('external effects', () => {
  test('refuse a session that is in a transaction, and keys that cannot be sent', async () => {
    await expect(
      fixture.transaction((client) =>
        new ExternalEffects(new PgSession(client as unknown as PgQueryable)).run({ key, attempt, query }),
      ),
    ).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    for (const unusable of ['', 'x'.repeat(251), 'charge-1:undo'])
      expect(await codeOf(effectsOf().run({ key: unusable, attempt, query }))).toBe('CONFIGURATION_INVALID');
    expect(() => effectsOf({ leaseMs: 1_000, timeoutMs: 1_000 })).toThrow('timeoutMs must be below leaseMs');
    expect(gateway.calls(key)).toBe(0);
  });

  test('are deleted after their retention, unless they are undecided', async () => {
    const { pool, session } = fixture.database;
    await pool.query('truncate waybill.external_effect, waybill.external_effect_outcome');
    await charge();
    const open = `${key}-open`;
    gateway.mood.broken = true;
    await codeOf(effectsOf(LONG).run({ key: open, attempt, query }));
    const age = async (days: number): Promise<void> => {
      for (const [table, column] of [
        ['external_effect', 'attempted_at'],
        ['external_effect_outcome', 'decided_at'],
      ])
        await pool.query(
          `update waybill.${table} e set ${column} = t.at, slot = floor(extract(epoch from t.at) / 691200)::bigint % 16
             from (select clock_timestamp() - $1 * interval '1 day' as at) t`,
          [days],
        );
    };
    const left = async () =>
      (
        await pool.query<{ key: string }>('select distinct key from waybill.external_effect order by 1')
      ).rows.map((row) => row.key);
    const retention = new GuardRetention(session);
    await age(80);
    await retention.runOnce();
    expect(await left()).toEqual([key, open]);
    await age(105);
    await retention.runOnce();
    expect(await left()).toEqual([open]);
    expect(await fixture.value('select count(*)::int from waybill.external_effect_outcome')).toBe(0);
  });
});

test('the marks of leases are removed with their slot, and so are leases that no process has claimed again', async () => {
  const { pool, session } = fixture.database;
  await pool.query(
    `insert into waybill.guard_lease (name, fence, lease_until)
     select d::text, 1, clock_timestamp() - d * interval '1 hour' from unnest(array[-1, 1, 23, 25]) d`,
  );
  const insert = (days: number) =>
    pool.query(
      `insert into waybill.guard_outcome (slot, name, fence, expires_at)
       select floor(extract(epoch from t.at) / 345600)::bigint % 16, $1::int::text, 1, t.at
         from (select clock_timestamp() + $1::int * interval '1 day' as at) t`,
      [days],
    );
  for (const days of [-30, -5, 5, 50]) await insert(days);
  await new GuardRetention(session).runOnce();
  const { rows } = await pool.query<{ name: string }>('select name from waybill.guard_outcome');
  expect(rows.map(({ name }) => Number(name)).toSorted((a, b) => a - b)).toEqual([5, 50]);
  const leases = await pool.query<{ name: string }>(
    'select name from waybill.guard_lease order by lease_until',
  );
  expect(leases.rows.map(({ name }) => name)).toEqual(['23', '1', '-1']);
});

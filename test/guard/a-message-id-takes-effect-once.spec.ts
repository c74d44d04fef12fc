import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { GuardRetention } from '@waybill/guard';
import { newId } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { Fixture } from '../support/fixture.js';
import { ageKept, DAY_MS, effect, effects, idOf, messageIdGuardOf } from '../support/message-guard.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create();
});
afterEach(() => fixture.close());

const plainGuard = messageIdGuardOf();
/** One message in its own transaction. */
const take = (
  id: string,
  {
    consumer = 'billing',
    guard = plainGuard,
    ...options
  }: Record<string, unknown> & { guard?: typeof plainGuard } = {},
) =>
  fixture.transaction((tx) =>
    guard.once(tx, consumer as string, id, () => effect(tx, id), options as { receivedAt?: Date }),
  );

/** Starts a message and holds its work open. */
async function hold(
  id: string,
): Promise<{ client: pg.PoolClient; end(how: 'commit' | 'rollback'): Promise<unknown> }> {
  const client = await fixture.database.pool.connect();
  await client.query('begin');
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let begun = (): void => undefined;
  const working = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const done = plainGuard.once(client, 'billing', id, async () => {
    begun();
    await finished;
    return effect(client, id);
  });
  await working;
  return {
    client,
    async end(how) {
      finish();
      const outcome = await done;
      await client.query(how);
      client.release();
      return outcome;
    },
  };
}

const waiting = (): Promise<number> =>
  fixture.value(`select count(*)::int from pg_locks where locktype = 'advisory' and not granted
                    and database = (select oid from pg_database where datname = current_database())`);

describe('a message', () => {
  test('takes effect once for each consumer; a duplicate gets the result that was kept', async () => {
    const id = newId();
    const first = await take(id);
    expect(first).toEqual({ result: { by: 1, n: 0 }, duplicate: false });
    expect(await take(id)).toEqual({ result: { by: 1, n: 0 }, duplicate: true });
    expect(await take(id, { consumer: 'mailing' })).toEqual({ result: { by: 2, n: 0 }, duplicate: false });
    expect(await effects(fixture)).toEqual({ [id]: 2 });
  });

  test('is free again when its transaction is rolled back', async () => {
    const id = newId();
    const failing = fixture.transaction((tx) =>
      plainGuard.once(tx, 'billing', id, async () => {
        await effect(tx, id);
        throw new Error('the card was declined');
      }),
    );
    await expect(failing).rejects.toThrow('the card was declined');
    expect((await take(id)).duplicate).toBe(false);
    expect(await effects(fixture)).toEqual({ [id]: 1 });
  });

  test.each([
    ['commit', { result: { by: 1, n: 0 }, duplicate: true }],
    ['rollback', { result: { by: 2, n: 0 }, duplicate: false }],
  ] as const)('that comes while the first is running waits for its %s', async (how, expected) => {
    const id = newId();
    const first = await hold(id);
    const second = take(id);
    await waitUntil(async () => (await waiting()) === 1, { describe: 'the second waits' });
    await first.end(how);
    expect(await second).toEqual(expected);
    expect(await effects(fixture)).toEqual({ [id]: 1 });
  });

  test('is refused, or times out waiting, while the first is running', async () => {
    const id = newId();
    const first = await hold(id);
    await expect(take(id, { onConflict: 'refuse' })).rejects.toMatchObject({ code: 'EFFECT_IN_PROGRESS' });
    await expect(take(id, { guard: messageIdGuardOf({ waitMs: 50 }) })).rejects.toMatchObject({
      code: 'TRANSACTION_CONFLICT',
    });
    // Another message does not block it, and its own transaction cannot run it a second time.
    expect((await take(newId(), { onConflict: 'refuse' })).duplicate).toBe(false);
    await expect(
      plainGuard.once(first.client, 'billing', id, () => effect(first.client, id)),
    ).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
    });
    await first.end('commit');
    expect(await take(id, { onConflict: 'refuse' })).toMatchObject({ duplicate: true });
  });

  test('that has waited leaves the lock time-out of the transaction as it was', async () => {
    const id = newId();
    const first = await hold(id);
    const second = fixture.transaction(async (tx) => {
      await tx.query(`set local lock_timeout = '7s'`);
      const outcome = await plainGuard.once(tx, 'billing', id, () => effect(tx, id));
      const { rows } = await tx.query<{ lock_timeout: string }>('show lock_timeout');
      return { ...outcome, lockTimeout: rows[0]?.lock_timeout };
    });
    await waitUntil(async () => (await waiting()) === 1, { describe: 'the second waits' });
    await first.end('commit');
    expect(await second).toMatchObject({ duplicate: true, lockTimeout: '7s' });
  });

  test('is recognised within its own transaction', async () => {
    const id = newId();
    const outcomes = await fixture.transaction(async (tx) => [
      await plainGuard.once(tx, 'billing', id, () => effect(tx, id)),
      await plainGuard.once(tx, 'billing', id, () => effect(tx, id)),
    ]);
    expect(outcomes.map(({ duplicate }) => duplicate)).toEqual([false, true]);
  });

  test('is refused outside READ COMMITTED and outside a transaction', async () => {
    for (const level of ['repeatable read', 'serializable']) {
      const refused = fixture.transaction(async (tx) => {
        await tx.query(`set transaction isolation level ${level}`);
        return plainGuard.once(tx, 'billing', newId(), () => effect(tx, 'never'));
      });
      await expect(refused).rejects.toMatchObject({ code: 'ISOLATION_LEVEL' });
    }
    await expect(
      plainGuard.once(fixture.database.pool, 'billing', newId(), () => Promise.resolve(1)),
    ).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    expect(await effects(fixture)).toEqual({});
  });

  test.each([
    ['', 'has no id'],
    [undefined as unknown as string, 'has no id'],
    ['x'.repeat(256), '256 characters'],
    ['a\0b', 'zero byte'],
  ])('without a valid id is refused: %#', async (id, problem) => {
    await expect(take(id)).rejects.toMatchObject({
      code: 'MESSAGE_ID_INVALID',
      message: expect.stringContaining(problem),
    });
  });

  test('keeps any JSON for duplicates, and refuses what is not JSON or too large', async () => {
    const results: unknown[] = [undefined, null, 0, '', 'a\0b\ud800', [{ ü: [1.5] }], 'x'.repeat(60_000)];
    for (const result of results) {
      const once = (id: string) =>
        fixture.transaction((tx) => plainGuard.once(tx, 'billing', id, () => Promise.resolve(result)));
      const id = newId();
      const first = await once(id);
      expect(first).toEqual({ result: result ?? null, duplicate: false });
      expect(await once(id)).toEqual({ ...first, duplicate: true });
    }
    for (const [result, code] of [
      [1n, 'RESULT_NOT_SERIALIZABLE'],
      ['x'.repeat(65_536), 'RESULT_TOO_LARGE'],
    ]) {
      const refused = fixture.transaction((tx) =>
        plainGuard.once(tx, 'billing', newId(), async () => {
          await effect(tx, 'never');
          return result;
        }),
      );
      await expect(refused).rejects.toMatchObject({ code });
    }
    expect(await effects(fixture)).toEqual({});
  });

  test('takes effect once through Prisma and pg together', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: fixture.url }) });
    try {
      const id = newId();
      const byPrisma = () =>
        prisma.$transaction((tx) =>
          plainGuard.once(tx, 'billing', id, () =>
            tx.$executeRawUnsafe('insert into effect (message_id) values ($1)', id),
          ),
        );
      expect(await byPrisma()).toEqual({ result: 1, duplicate: false });
      expect(await byPrisma()).toEqual({ result: 1, duplicate: true });
      expect(await take(id)).toMatchObject({ result: 1, duplicate: true });
      await expect(plainGuard.once(prisma, 'billing', id, () => Promise.resolve(1))).rejects.toMatchObject({
        code: 'TRANSACTION_REQUIRED',
      });
      await expect(
        prisma.$transaction((tx) => plainGuard.once(tx, 'billing', newId(), () => Promise.resolve(1)), {
          isolationLevel: 'Serializable',
        }),
      ).rejects.toMatchObject({ code: 'ISOLATION_LEVEL' });
    } finally {
      await prisma.$disconnect();
    }
  });
});

describe('the window', () => {
  test('refuses an id whose time is older, or more than a day ahead', async () => {
    const now = Date.now();
    for (const ms of [now - 41 * DAY_MS, now + 25 * 3_600_000]) {
      await expect(take(idOf(ms))).rejects.toMatchObject({
        code: 'ID_OUTSIDE_WINDOW',
        judgedAt: new Date(Math.floor(ms)),
        message: expect.stringContaining(new Date(Math.floor(ms)).toISOString()),
      });
    }
    for (const ms of [now - 39 * DAY_MS, now + 23 * 3_600_000]) {
      expect((await take(idOf(ms))).duplicate).toBe(false);
    }
    expect((await take(`order-17`)).duplicate).toBe(false);
  });

  test('judges a message of a log by the time it was received, not by its id', async () => {
    const now = Date.now();
    const delayed = idOf(now - 300 * DAY_MS);
    expect((await take(delayed, { receivedAt: new Date(now - 3_600_000) })).duplicate).toBe(false);
    expect((await take(idOf(now - 30 * DAY_MS), { receivedAt: new Date(now - 14 * DAY_MS) })).duplicate).toBe(
      false,
    );
    await expect(take(newId(), { receivedAt: new Date(now - 41 * DAY_MS) })).rejects.toMatchObject({
      code: 'ID_OUTSIDE_WINDOW',
    });
    await expect(take('order-18', { receivedAt: new Date(now - 41 * DAY_MS) })).rejects.toMatchObject({
      code: 'ID_OUTSIDE_WINDOW',
    });
  });

  test('recognises a message in all its slots, and removes it from the ring only when it would be refused', async () => {
    const retention = new GuardRetention(fixture.database.session);
    const made = Date.now();
    const id = idOf(made);
    await take(id);
    // As if eight times five days had passed, for id and row alike: the row is found in any slot.
    for (let days = 5; days <= 40; days += 5) {
      await ageKept(fixture, 5 * DAY_MS);
      await retention.runOnce();
      expect((await take(id)).duplicate).toBe(true);
    }
    await ageKept(fixture, 1.5 * DAY_MS);
    await retention.runOnce();
    expect(await fixture.value('select count(*)::int from waybill.idempotent_message')).toBe(0);
    await expect(take(idOf(made - 41.5 * DAY_MS))).rejects.toMatchObject({ code: 'ID_OUTSIDE_WINDOW' });
    expect(await effects(fixture)).toEqual({ [id]: 1 });
  });

  test('recognises an id of nearly a day ahead while that is within the window', async () => {
    const ahead = Date.now() + 23 * 3_600_000;
    const id = idOf(ahead);
    await take(id);
    await ageKept(fixture, 40.5 * DAY_MS);
    const aged = idOf(ahead - 40.5 * DAY_MS);
    await fixture.database.pool.query('update waybill.idempotent_message set message_id = $1', [aged]);
    await new GuardRetention(fixture.database.session).runOnce();
    expect((await take(aged)).duplicate).toBe(true);
  });

  test('is separate for each consumer: the retention of one keeps what another needs', async () => {
    const brief = messageIdGuardOf({ windowMs: 60_000 });
    const [short, long] = [newId(), newId()];
    await take(short, { guard: brief, consumer: 'brief' });
    await take(long);
    await ageKept(fixture, 2 * DAY_MS);
    await new GuardRetention(fixture.database.session).runOnce();
    expect((await take(long)).duplicate).toBe(true);
    await expect(take(idOf(Date.now() - 61_000), { guard: brief })).rejects.toMatchObject({
      code: 'ID_OUTSIDE_WINDOW',
    });
  });
});

describe('the ring', () => {
  const rows = (): Promise<number> => fixture.value('select count(*)::int from waybill.idempotent_message');
  const past = 60 * DAY_MS;

  test('a late row of an open transaction keeps its slot, and no transaction waits for the emptying', async () => {
    await take(newId());
    await ageKept(fixture, past);
    const slot = await fixture.value('select slot::int from waybill.idempotent_message');
    const late = await fixture.database.pool.connect();
    await late.query('begin');
    await late.query(
      `insert into waybill.idempotent_message values ($1, now(), now() + interval '1 day', 'billing', 'late', null)`,
      [slot],
    );
    const retention = new GuardRetention(fixture.database.session);
    await retention.runOnce();
    expect(await rows()).toBe(1);
    await late.query('commit');
    late.release();
    await retention.runOnce();
    expect(await rows()).toBe(2);
    await ageKept(fixture, past);
    await retention.runOnce();
    expect(await rows()).toBe(0);
  });

  test('a row that is committed while the emptying waits for its lock is not lost', async () => {
    await take(newId());
    await ageKept(fixture, past);
    const slot = await fixture.value('select slot::int from waybill.idempotent_message');
    const late = await fixture.database.pool.connect();
    const left: number[] = [];
    let found = false;
    // The emptying waits for only 50 ms; it may give up before the row is committed.
    for (let kept = 2; !found; kept += 1) {
      await late.query('begin');
      await late.query(
        `insert into waybill.idempotent_message values ($1, now(), now() + interval '1 day', 'billing', $2, null)`,
        [slot, `late-${kept}`],
      );
      const emptying = new GuardRetention(fixture.database.session).runOnce();
      const locks = `select exists (select from pg_locks where mode = 'AccessExclusiveLock' and not granted
                                    and relation = 'waybill.idempotent_message_s${slot}'::regclass)`;
      const ended = emptying.then(() => 'ended' as const);
      for (let state: unknown; !found && state !== 'ended';) {
        found = await fixture.value<boolean>(locks);
        state = await Promise.race([ended, Promise.resolve()]);
      }
      await late.query('commit');
      await emptying;
      left.push((await rows()) - kept);
      await fixture.database.pool.query(
        `update waybill.idempotent_message set keep_until = now() - interval '1 s'`,
      );
    }
    late.release();
    expect(new Set(left)).toEqual(new Set([0]));
  });

  test('running messages do not keep old slots from being emptied', async () => {
    await take(newId());
    await ageKept(fixture, past);
    const slow = await hold(newId());
    await new GuardRetention(fixture.database.session).runOnce();
    expect(await rows()).toBe(0);
    await slow.end('commit');
    expect(await rows()).toBe(1);
  });

  test('a message that is running when the slot changes is one message', async () => {
    const id = newId();
    const first = await hold(id);
    const second = take(id);
    await waitUntil(async () => (await waiting()) === 1, { describe: 'the second waits' });
    // The first's row is written into a slot other than the one the second would use.
    const other = fixture.transaction(async (tx) => {
      await tx.query(
        `create or replace function waybill.message_slot_number(at timestamptz) returns bigint language sql immutable
             as $$ select floor((extract(epoch from at) + 691200) / 691200)::bigint $$`,
      );
    });
    await other;
    await first.end('commit');
    expect((await second).duplicate).toBe(true);
    expect(await effects(fixture)).toEqual({ [id]: 1 });
  });
});

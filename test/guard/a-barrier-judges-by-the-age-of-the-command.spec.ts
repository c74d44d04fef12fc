import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Barrier, type BarrierCall, type BarrierOutcome, GuardRetention } from '@waybill/guard';
import { newId } from '@waybill/kernel';
import { callOf } from '@waybill/saga/internal';
import { testServerUrl } from '@waybill/testing';
import { Participant } from '../support/barriers.js';
import { DAY_MS, idOf } from '../support/message-guard.js';

describe('the barrier of a long saga', () => {
  const barrier = new Barrier();
  let bank: Participant;
  beforeAll(async () => {
    bank = await Participant.create(testServerUrl());
  });
  beforeEach(async () => {
    await bank.database.pool.query('truncate waybill.barrier, waybill.barrier_result');
  });
  afterAll(() => bank.close());

  const call = (name: Omit<BarrierCall, 'branch'>): Promise<BarrierOutcome<string>> =>
    bank.runner.run({
      work: ({ session }) => barrier.call(session, { branch: '01', ...name }, async () => name.op),
      timeoutMs: 60_000,
    });
  /** The id of a saga that began the given number of days ago, and the offset of something that old. */
  const ago = (days: number): string => idOf(Date.now() - days * DAY_MS);
  const after = (days: number, old: number): number => (days - old) * DAY_MS;

  test.each([200, 730])('lets its commands through after %d days, each once', async (days) => {
    const gid = ago(days);
    const begunMs = after(days, 1);
    expect(await call({ gid, op: 'action', begunMs })).toEqual({ outcome: 'done', result: 'action' });
    expect(await call({ gid, op: 'action', begunMs })).toEqual({ outcome: 'duplicate', result: 'action' });
    const undo = { gid, op: 'compensate', begunMs: after(days, 0) } as const;
    const origin = { begunMs, isDone: false };
    expect(await call({ ...undo, origin })).toMatchObject({ outcome: 'done' });
    expect(await call({ ...undo, origin })).toMatchObject({ outcome: 'duplicate' });
  });

  test('blocks an action that comes after its compensation, in the slot of the action', async () => {
    const gid = ago(200);
    const action = { gid, op: 'action', begunMs: after(200, 40) } as const;
    const origin = { begunMs: action.begunMs, isDone: false };
    expect(await call({ gid, op: 'compensate', begunMs: after(200, 1), origin })).toEqual({
      outcome: 'empty',
    });
    expect(await call(action)).toEqual({ outcome: 'refused' });
  });

  test('undoes an action that it has deleted if the saga knows that it was done, and else gives an error', async () => {
    const gid = ago(200);
    const undo = { gid, op: 'compensate', begunMs: after(200, 0) } as const;
    await expect(call({ ...undo, origin: { begunMs: after(200, 91), isDone: false } })).rejects.toMatchObject(
      {
        code: 'BARRIER_FORGOTTEN',
        retryable: false,
        message: expect.stringContaining(gid),
      },
    );
    const done = { ...undo, origin: { begunMs: after(200, 91), isDone: true } };
    expect(await call(done)).toMatchObject({ outcome: 'done' });
    expect(await call(done)).toMatchObject({ outcome: 'duplicate' });
    // A late copy of the action is refused by its age.
    await expect(call({ gid, op: 'action', begunMs: after(200, 91) })).rejects.toMatchObject({
      code: 'BARRIER_NAME_INVALID',
    });
    await expect(call({ gid, op: 'action' })).rejects.toMatchObject({ code: 'BARRIER_NAME_INVALID' });
  });

  test('uses the same time for rejections, pardons and ends', async () => {
    const gid = ago(400);
    const name = { gid, branch: '01', op: 'action', begunMs: after(400, 2) } as const;
    const inTransaction = <T>(work: (session: never) => Promise<T>): Promise<T> =>
      bank.runner.run({ work: ({ session }) => work(session as never), timeoutMs: 60_000 });
    await inTransaction((session) => barrier.reject(session, name));
    expect(await call(name)).toEqual({ outcome: 'refused' });
    await inTransaction((session) => barrier.pardon(session, name));
    await inTransaction(async (session) => {
      await barrier.call(session, name, async () => undefined);
      await barrier.ongoing(session, name, 'ongoing');
    });
    expect(await inTransaction((session) => barrier.end(session, name, 'done'))).toBe('ongoing');
    expect(await inTransaction((session) => barrier.end(session, name, 'done'))).toBe('done');
  });

  test('refuses a start time that is invalid, or in the future', async () => {
    for (const begunMs of [-1, 1.5, Number.NaN, 2 ** 60, DAY_MS * 3])
      await expect(call({ gid: newId(), op: 'action', begunMs })).rejects.toMatchObject({
        code: 'BARRIER_NAME_INVALID',
      });
  });

  test('keeps what it would still accept, however old the saga, and deletes the rest in whole slots', async () => {
    const old = ago(300);
    const ages = [1, 50, 89];
    for (const age of ages)
      await call({ gid: old, branch: String(age), op: 'action', begunMs: after(300, age) } as BarrierCall);
    const { pool } = bank.database;
    await new GuardRetention(bank.database.session).runOnce();
    expect((await pool.query('select from waybill.barrier')).rows).toHaveLength(ages.length);
    await pool.query(
      `update waybill.barrier set made_ms = made_ms - $1, gid = $2 where branch in ('50', '89')`,
      [50 * DAY_MS, ago(350)],
    );
    await new GuardRetention(bank.database.session).runOnce();
    const { rows } = await pool.query<{ branch: string }>('select branch from waybill.barrier');
    expect(rows).toEqual([{ branch: '1' }]);
  });

  test('reads the times from the headers of the command', () => {
    const control = {
      'waybill-saga-id': newId(),
      'waybill-saga-branch': '01',
      'waybill-saga-op': 'compensate',
    };
    const headers = { 'waybill-saga-begun': '8000', 'waybill-saga-origin': '12,done' };
    expect(callOf({ ...control, ...headers })).toMatchObject({
      begunMs: 8_000,
      origin: { begunMs: 12, isDone: true },
    });
    expect(callOf(control)?.begunMs).toBeUndefined();
    for (const wrong of [
      { 'waybill-saga-begun': '-1' },
      { 'waybill-saga-begun': '1e3' },
      { 'waybill-saga-origin': '1,no' },
    ])
      expect(() => callOf({ ...control, ...wrong })).toThrow(
        expect.objectContaining({ code: 'BARRIER_NAME_INVALID' }),
      );
  });
});

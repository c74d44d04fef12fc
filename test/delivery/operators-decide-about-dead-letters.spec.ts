import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Handler, SubscriptionOptions } from '@waybill/consumer';
import { DeadLetterClosedError, NonRetryableError, NotFoundError } from '@waybill/kernel';
import type { OnDeadLetter } from '@waybill/log';
import { Redrives } from '@waybill/dead-letter';
import { waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { type Order, ShopFloor } from '../support/shop-floor.js';

let fixture: Fixture;
let floor: ShopFloor;
afterEach(async () => {
  await floor.close();
  await fixture.close();
});

const setUp = async (onDeadLetter: OnDeadLetter = 'unblock'): Promise<void> => {
  fixture = await Fixture.create({ orders: { partitions: 2, onDeadLetter } });
  floor = new ShopFloor(fixture);
};
class PatienceError extends Error {
  override readonly name = 'PatienceError';
}

const ann = { by: 'ann' };
const open = (): Promise<number> => fixture.deadLetters.count({ states: ['open'] });

describe.each(['key', 'partition'] as const)(
  'in order %s, the topic says what waits after a dead letter:',
  (concurrency) => {
    /** How often message 2 still fails. */
    let failures: number;
    let patient: boolean;
    const handler: Handler = async (delivery) => {
      if (failures > 0 && (delivery.payload as Order).n === 2) {
        failures -= 1;
        throw patient
          ? new PatienceError('the gateway is away')
          : new NonRetryableError('the card is unknown');
      }
      await floor.keep(delivery);
    };
    beforeEach(() => {
      patient = false;
    });
    const order = (n: number) => ({ n, key: `key-${n % 2}`, partition: 0 });
    /**
     * Message 2 becomes a dead letter, at its first attempt or after it was parked; then come the messages after it.
     */
    const consume = async (retry?: SubscriptionOptions['retry']): Promise<void> => {
      failures = Infinity;
      await floor.publish(upTo(3).map(order));
      await floor.consume(handler, { concurrency, ...(retry === undefined ? {} : { retry }) });
      await waitUntil(async () => (await open()) === 1, { describe: 'there is a dead letter' });
      await floor.publish([...upTo(12).slice(3).map(order), { n: 100, key: 'probe', partition: 1 }]);
      await waitUntil(async () => (await floor.effects('probe')).length === 1, {
        describe: 'another partition continues',
      });
    };
    const others = async (): Promise<number[]> => (await floor.effects()).filter((n) => n !== 100);

    test('nothing (unblock)', async () => {
      await setUp('unblock');
      await consume();
      await waitUntil(async () => (await others()).length === 11, { describe: 'the others are done' });
      expect(await floor.effects('key-0')).toEqual([0, 4, 6, 8, 10]);
    });

    test.each([
      ['at once', {}, 'not-retryable', 1],
      [
        'after waiting',
        {
          byError: [{ error: 'PatienceError', retry: { maxAttempts: 3, immediateAttempts: 0, delayMs: 20 } }],
        },
        'attempts-spent',
        3,
      ],
    ] as const)(
      'its key (park) when it failed %s, until it is redriven; its partition in order partition',
      async (_when, retry, reason, attempts) => {
        patient = attempts > 1;
        await setUp('park');
        await consume(retry);
        const passed = concurrency === 'key' ? [1, 3, 5, 7, 9, 11] : [1];
        await waitUntil(async () => (await floor.effects('key-1')).length === passed.length, {
          describe: 'the other key is done',
        });
        expect(await floor.effects('key-0')).toEqual([0]);
        expect(await fixture.deadLetters.list()).toMatchObject([{ state: 'open', reason, attempts }]);
        failures = 0;
        const [letter] = await fixture.deadLetters.list();
        await fixture.deadLetters.redrive(letter?.id ?? 0, ann);
        await waitUntil(async () => (await others()).length === 12, { describe: 'all are done' });
        expect(await floor.effects('key-0')).toEqual([0, 2, 4, 6, 8, 10]);
        expect(await fixture.deadLetters.list()).toMatchObject([
          { state: 'redriven', redrives: 1, attempts },
        ]);
      },
    );

    test('a redriven one that fails again is retried before those that waited for it', async () => {
      patient = true;
      await setUp('park');
      await consume({
        byError: [{ error: 'PatienceError', retry: { maxAttempts: 3, immediateAttempts: 0, delayMs: 100 } }],
      });
      failures = 1;
      const [letter] = await fixture.deadLetters.list();
      await fixture.deadLetters.redrive(letter?.id ?? 0, ann);
      await waitUntil(async () => (await others()).length === 12, { describe: 'all are done' });
      expect(await floor.effects('key-0')).toEqual([0, 2, 4, 6, 8, 10]);
    });

    test('its partition (block), until it is discarded, even across a restart', async () => {
      await setUp('block');
      await consume();
      expect((await others()).filter((n) => n > 2)).toEqual([]);
      await floor.close();
      floor = new ShopFloor(fixture);
      await floor.consume(handler, { concurrency });
      await floor.publish([{ n: 100, key: 'probe', partition: 1 }]);
      await waitUntil(async () => (await floor.effects('probe')).length === 2, {
        describe: 'another partition continues',
      });
      expect((await others()).filter((n) => n > 2)).toEqual([]);
      const reason = 'a test order';
      expect(await fixture.deadLetters.discard({ topic: 'orders' }, { ...ann, reason })).toBe(1);
      await waitUntil(async () => (await others()).length === 11, { describe: 'the others are done' });
      expect(await floor.effects('key-0')).toEqual([0, 4, 6, 8, 10]);
      expect(await fixture.value('select count(*)::int from waybill.parked_message')).toBe(0);
    });
  },
);

describe('an operator', () => {
  let cure: boolean;
  const handler: Handler = async (delivery) => {
    await floor.keep(delivery);
    const { n } = delivery.payload as Order;
    if (!cure && n % 3 === 0) throw new NonRetryableError(`order ${n} is wrong`);
  };
  beforeEach(async () => {
    cure = false;
    await setUp();
    await floor.publish(upTo(9).map((n) => ({ n, key: `key-${n % 2}` })));
    await floor.consume(handler);
    await waitUntil(async () => (await floor.effects()).length === 6, { describe: 'two thirds are done' });
    await waitUntil(async () => (await open()) === 3, { describe: 'one third is not' });
  });

  test('lists dead letters by subject, error, time and values in the payload', async () => {
    const { deadLetters } = fixture;
    const found = async (filter: Parameters<typeof deadLetters.list>[0]): Promise<number> =>
      (await deadLetters.list(filter)).length;
    expect(await found({ group: 'test', topic: 'orders', handler: 'orders' })).toBe(3);
    expect(await found({ group: 'other' })).toBe(0);
    expect(await found({ key: 'key-0' })).toBe(2);
    expect(await found({ errorClass: 'NonRetryableError', reason: 'not-retryable' })).toBe(3);
    expect(await found({ payload: [{ path: ['n'], value: '6' }] })).toBe(1);
    expect(await found({ payload: [{ path: ['n', "x'; drop table effect; --"], value: '6' }] })).toBe(0);
    expect(await found({ from: new Date(Date.now() + 3_600_000) })).toBe(0);
    expect(await found({ to: new Date(Date.now() + 3_600_000), states: ['open'] })).toBe(3);
    await expect(deadLetters.list({ topc: 'orders' } as never)).rejects.toThrow('did you mean topic?');
    const [group, ...others] = await deadLetters.groups();
    expect(others).toEqual([]);
    expect(group).toMatchObject({ count: 3, errorClass: 'NonRetryableError', handler: 'orders' });
    expect(await found({ fingerprint: group?.fingerprint ?? '' })).toBe(3);
    const [first] = await deadLetters.list({ key: 'key-0' }, { limit: 1 });
    const letter = await deadLetters.show(first?.id ?? 0);
    expect(JSON.parse(String(letter.payload))).toEqual({ n: 0 });
    expect(letter.errorStack).toContain('at ');
    await expect(deadLetters.show(999)).rejects.toThrow(NotFoundError);
    const exported: number[] = [];
    for await (const { payload } of deadLetters.export())
      exported.push((JSON.parse(String(payload)) as Order).n);
    expect(exported.toSorted((a, b) => a - b)).toEqual([0, 3, 6]);
  });

  test('redrives one: the handler that failed gets it once, and an open one again if it fails again', async () => {
    const [letter] = await fixture.deadLetters.list({ payload: [{ path: ['n'], value: '3' }] });
    const id = letter?.id ?? 0;
    await fixture.deadLetters.redrive(id, { ...ann, reason: 'try it' });
    await waitUntil(async () => (await fixture.deadLetters.show(id)).attempts === 2, {
      describe: 'it failed again',
    });
    expect(await fixture.deadLetters.show(id)).toMatchObject({ state: 'open', redrives: 1 });
    cure = true;
    await fixture.deadLetters.redrive(id, ann);
    await waitUntil(async () => (await fixture.deadLetters.show(id)).state === 'redriven', {
      describe: 'it is done',
    });
    await expect(fixture.deadLetters.redrive(id, ann)).rejects.toThrow(DeadLetterClosedError);
    expect((await floor.effects()).filter((n) => n === 3)).toEqual([3]);
    expect(await fixture.deadLetters.actions(id)).toMatchObject([
      { by: 'ann', action: 'redrive', reason: null },
      { by: 'ann', action: 'redrive', reason: 'try it' },
    ]);
    await expect(fixture.deadLetters.redrive(id, { by: ' ' })).rejects.toThrow('by must name who acts');
  });

  test('edits one: the handler gets a new message, linked to the old one', async () => {
    const [letter] = await fixture.deadLetters.list({ payload: [{ path: ['n'], value: '6' }] });
    const id = letter?.id ?? 0;
    const payload = Buffer.from(JSON.stringify({ n: 100 }));
    const messageId = await fixture.deadLetters.edit(id, { payload, headers: { corrected: 'yes' } }, ann);
    await waitUntil(async () => (await floor.effects()).includes(100), {
      describe: 'the new message took effect',
    });
    const after = await fixture.deadLetters.show(id);
    expect(after).toMatchObject({ state: 'redriven', replacedBy: messageId, messageId });
    expect(after.headers).toMatchObject({ corrected: 'yes', 'waybill-cause-id': letter?.messageId });
    const [action] = await fixture.deadLetters.actions(id);
    const before = action?.details['before'] as {
      payloadSha256: string;
      messageId: string;
    };
    expect(before.messageId).toBe(letter?.messageId);
    // It keeps what identifies the old one, and not the old one itself.
    expect(before.payloadSha256).toBe(createHash('sha256').update('{"n":6}').digest('hex'));
    expect(before).not.toHaveProperty('payload');
  });

  test('sends an edited message to the topic, for all groups', async () => {
    const [letter] = await fixture.deadLetters.list({ payload: [{ path: ['n'], value: '6' }] });
    const id = letter?.id ?? 0;
    const payload = Buffer.from(JSON.stringify({ n: 101 }));
    const messageId = await fixture.deadLetters.edit(id, { payload, to: 'topic' }, ann);
    await fixture.moveOwn();
    await waitUntil(async () => (await floor.effects()).includes(101), {
      describe: 'the new message took effect',
    });
    expect(await fixture.deadLetters.show(id)).toMatchObject({ state: 'replaced', replacedBy: messageId });
    const log = await fixture.log();
    expect(log.at(-1)).toMatchObject({ id: messageId, key: letter?.key, payload: { n: 101 } });
    await expect(fixture.deadLetters.edit(id, { payload }, ann)).rejects.toThrow(DeadLetterClosedError);
  });

  test('redrives all that match, in order, at a rate', async () => {
    cure = true;
    const redrives = new Redrives(fixture.database, fixture.signals);
    const { id, total } = await redrives.start({ group: 'test' }, { ...ann, perSecond: 50 });
    expect(total).toBe(3);
    expect(await redrives.resume(id)).toMatchObject({ state: 'done', redriven: 3 });
    await waitUntil(async () => (await floor.effects()).length === 9, { describe: 'all are done' });
    expect((await floor.effects('key-0')).filter((n) => n % 3 === 0)).toEqual([0, 6]);
    expect(await redrives.list()).toMatchObject([{ id, by: 'ann', state: 'done', total: 3, redriven: 3 }]);
    await expect(redrives.cancel(id, ann)).rejects.toThrow(NotFoundError);
    await expect(redrives.resume(77)).rejects.toThrow(NotFoundError);
  });
});

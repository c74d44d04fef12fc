import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ErrorCode, newId } from '@waybill/kernel';
import { Outbox, extendedJson } from '@waybill/outbox';
import { saga, sagaCommand } from '@waybill/saga';
import { Recurring } from '@waybill/timer';
import type pg from 'pg';
import type { Fixture } from '../support/fixture.js';
import { HalfFloor } from '../support/half-operations.js';
import { messageIdGuardOf } from '../support/message-guard.js';
import { note, SagaFloor } from '../support/saga/sagas.js';

const LOSSY: [string, unknown][] = [
  ['NaN', { a: [Number.NaN] }],
  ['a Map', { a: [new Map([['b', 1]])] }],
  ['a Buffer', { a: [Buffer.from('b')] }],
  ['an invalid Date', { a: [new Date(Number.NaN)] }],
  ['undefined in an array', { a: [undefined] }],
  ['a BigInt', { a: [1n] }],
  ['a key __proto__', JSON.parse('{ "a": [{ "__proto__": 1 }] }')],
];

const NO_HEADERS: [string, unknown][] = [
  ['a Map', new Map([['a', 'b']])],
  ['a string', 'ab'],
  ['an array', [['a', 'b']]],
  ['null', null],
  ['an object of numbers', { a: 1 }],
  ['an object of arrays', { a: ['b'] }],
  ['an object of nothing', { a: undefined }],
];

const ship = sagaCommand<object>('ship');
const book = sagaCommand<object>('book');
const definition = saga<Record<string, unknown>>('orders.place')
  .step('ship', { invoke: ship, with: () => ({}), then: () => ({ weight: new Map() }) })
  .build();
const commanding = saga<Record<string, unknown>>('orders.book')
  .step('book', { invoke: book, with: () => ({ pieces: Number.NaN }) })
  .build();

type Entering = (payload: never, tx: pg.PoolClient) => Promise<unknown>;

describe('a value that JSON would change', () => {
  let floor: SagaFloor;
  let fixture: Fixture;
  let id: string;
  beforeAll(async () => {
    floor = await SagaFloor.open([definition as never, commanding as never]);
    fixture = floor.fixture;
    await fixture.topics.create('orders', {});
    ({ id } = await floor.start(definition, 'one', {}));
  });
  afterAll(() => floor.close());

  const refused = async (work: (tx: pg.PoolClient) => Promise<unknown>, code: ErrorCode): Promise<string> =>
    fixture.transaction(async (tx) => {
      const error = await work(tx).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code });
      // The caller's transaction continues.
      await tx.query('select 1');
      return (error as Error).message;
    });

  const ENTRIES: [string, Entering][] = [
    ['outbox.publish', (payload, tx) => fixture.outbox.publish(tx, { topic: 'orders', payload })],
    [
      'outbox.publishMany',
      (payload, tx) =>
        fixture.outbox.publishMany(tx, [
          { topic: 'orders', payload: 1 },
          { topic: 'orders', payload },
        ]),
    ],
    [
      'a delayed message',
      (payload, tx) => fixture.outbox.publish(tx, { topic: 'orders', payload, delayMs: 5 }),
    ],
    ['a half message', (payload) => new HalfFloor(fixture).halves.prepare({ topic: 'orders', payload })],
    [
      'a recurring message',
      (payload) =>
        new Recurring(fixture.database.session, (one) => fixture.outbox.encode(one)).put('r', {
          topic: 'orders',
          payload,
          everyMs: 5_000,
        }),
    ],
    ['the data of a saga', (data, tx) => floor.sagas.start(tx, definition, { key: newId(), data })],
    ['a signal', (payload, tx) => floor.sagas.signal(tx, id, 'paid', payload)],
  ];

  describe.each(ENTRIES)('by %s', (_, enter) => {
    test.each(LOSSY)('%s is refused with its path, before anything is written', async (_name, payload) => {
      const before = await fixture.value('select count(*)::int from waybill.outbox');
      expect(await refused((tx) => enter(payload as never, tx), 'PAYLOAD_NOT_SERIALIZABLE')).toContain(
        '.a[0]',
      );
      expect(await fixture.value('select count(*)::int from waybill.outbox')).toBe(before);
    });
  });

  test.each(NO_HEADERS)('headers that are %s are refused', async (_, headers) => {
    const publish = (tx: pg.PoolClient): Promise<unknown> =>
      fixture.outbox.publish(tx, { topic: 'orders', payload: 1, headers: headers as never });
    expect(await refused(publish, 'MESSAGE_INVALID')).toMatch(/headers? .*must be/);
  });

  test('a value that a guard stores as a result', async () => {
    const once = (tx: pg.PoolClient): Promise<unknown> =>
      messageIdGuardOf().once(tx, 'c', newId(), () => Promise.resolve(new Map([[1, 2]])));
    await refused(once, 'RESULT_NOT_SERIALIZABLE');
  });

  test('such data of a step, or such a command, leaves the saga stuck and visible', async () => {
    await floor.carry();
    await floor.serve('stock', { ship: note('ship'), book: note('book') });
    await floor.until(id, 'STUCK');
    expect((await floor.operations.show(id)).reason).toContain('weight is a Map');
  });

  test('is carried unchanged by extendedJson', async () => {
    const outbox = new Outbox({ codecs: { orders: extendedJson } });
    const payload = {
      at: new Date(1),
      seen: new Set([1n]),
      list: [undefined, Number.NaN],
      map: new Map([['a', Buffer.from('b')]]),
    };
    const { payload: bytes, headers } = outbox.encode({ topic: 'orders', payload });
    expect(extendedJson.decode(bytes)).toEqual(payload);
    expect(headers).toEqual({ 'content-type': extendedJson.contentType });
  });
});

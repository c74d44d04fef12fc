import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LocalDatabases } from '@waybill/half-message';
import { isWaybillError, newId, PgTransactionRunner } from '@waybill/kernel';
import { retryIn } from '@waybill/consumer';
import { Recurring } from '@waybill/timer';
import { Redrives } from '@waybill/dead-letter';
import { saga, sagaCommand } from '@waybill/saga';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { HalfFloor } from '../support/half-operations.js';
import { messageIdGuardOf } from '../support/message-guard.js';
import { SagaFloor } from '../support/saga/sagas.js';
import { timersOf } from '../support/timers.js';

const hostile = {
  toString: () => {
    throw new Error('shown');
  },
};

/** Values that are not a time, and times that cannot be used. */
const NO_DATES: [string, unknown][] = [
  ['a text', '2030-01-01T00:00:00Z'],
  ['a number', 1_900_000_000_000],
  ['null', null],
  ['an invalid Date', new Date(Number.NaN)],
  ['the year 275760', new Date(8.64e15)],
  ['the year -271821', new Date(-8.64e15)],
  ['an object that only looks like one', { getTime: () => 1, toISOString: () => '2030-01-01T00:00:00Z' }],
  ['an object without a prototype', Object.create(null)],
  ['an object that cannot be shown', hostile],
];

const NO_DURATIONS: [string, unknown][] = [
  ['a text', '1000'],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['a negative number', -1],
  ['a fraction', 1.5],
  ['more than the maximum', Number.MAX_SAFE_INTEGER],
  ['a BigInt', 10n],
  ['a Date', new Date()],
  ['a list', [1]],
  ['an object without a prototype', Object.create(null)],
  ['an object that cannot be shown', hostile],
  ['a symbol', Symbol('ms')],
];

type Taking = (value: never, tx: pg.PoolClient) => unknown;

const ship = sagaCommand<object>('ship');
const definition = saga<object>('orders.place')
  .step('ship', { invoke: ship, with: () => ({}) })
  .build();

describe('times and durations', () => {
  let floor: SagaFloor;
  let fixture: Fixture;
  let started: string;
  beforeAll(async () => {
    floor = await SagaFloor.open([definition as never]);
    fixture = floor.fixture;
    await fixture.topics.create('orders', {});
    started = (await floor.start(definition, 'one', {})).id;
  });
  afterAll(() => floor.close());

  const topic = 'orders';
  const payload = { n: 1 };
  const operator = { by: 'test' };
  const recurring = (): Recurring =>
    new Recurring(fixture.database.session, (one) => fixture.outbox.encode(one));

  const DATES: [string, Taking][] = [
    ['deliverAt of a message', (deliverAt, tx) => fixture.outbox.publish(tx, { topic, payload, deliverAt })],
    ['expiresAt of a message', (expiresAt, tx) => fixture.outbox.publish(tx, { topic, payload, expiresAt })],
    [
      'deliverAt of a move',
      (deliverAt, tx) => fixture.outbox.rescheduleTimer(tx, { token: 't' }, { deliverAt }),
    ],
    ['dueAt of a timer', (dueAt) => timersOf(fixture).timers.reschedule({ token: 't' }, { dueAt })],
    ['from of a filter', (from) => fixture.deadLetters.list({ from })],
    ['to of a redrive', (to) => new Redrives(fixture.database).start({ to }, operator)],
    [
      'receivedAt of a guard',
      (receivedAt, tx) => messageIdGuardOf().once(tx, 'c', newId(), () => Promise.resolve(1), { receivedAt }),
    ],
  ];

  const DURATIONS: [string, Taking][] = [
    ['delayMs of a message', (delayMs, tx) => fixture.outbox.publish(tx, { topic, payload, delayMs })],
    ['ttlMs of a message', (ttlMs, tx) => fixture.outbox.publish(tx, { topic, payload, ttlMs })],
    [
      'delayLevel of a message',
      (delayLevel, tx) => fixture.outbox.publish(tx, { topic, payload, delayLevel }),
    ],
    ['delayMs of a move', (delayMs, tx) => fixture.outbox.rescheduleTimer(tx, { token: 't' }, { delayMs })],
    ['delayMs of a timer', (delayMs) => timersOf(fixture).timers.reschedule({ token: 't' }, { delayMs })],
    ['everyMs of a recurring message', (everyMs) => recurring().put('r', { topic, payload, everyMs })],
    ['cron of a recurring message', (cron) => recurring().put('r', { topic, payload, cron })],
    [
      'timeZone of a recurring message',
      (timeZone) => recurring().put('r', { topic, payload, cron: '0 0 * * *', timeZone }),
    ],
    [
      'deadlineMs of a saga',
      (deadlineMs) =>
        saga('s', { deadlineMs })
          .step('ship', { invoke: ship, with: () => ({}) })
          .build(),
    ],
    [
      'timeoutMs of a step',
      (timeoutMs) =>
        saga('s')
          .step('ship', { invoke: ship, with: () => ({}), policy: { timeoutMs } })
          .build(),
    ],
    ['timeoutMs of a signal', (timeoutMs) => saga('s').waitFor('w', { signal: 'w', timeoutMs }).build()],
    ['timeoutMs of an outcome', (timeoutMs) => floor.sagas.outcome(started, { timeoutMs })],
    ['olderThanMs of a list', (olderThanMs) => floor.operations.list({ olderThanMs })],
    ['limit of a list of sagas', (limit) => floor.operations.list({ limit })],
    ['waitMs of an order', (waitMs) => floor.operations.retry(started, 'ship', operator, { waitMs })],
    ['limit of a list of dead letters', (limit) => fixture.deadLetters.list({}, { limit })],
    [
      'perSecond of a redrive',
      (perSecond) => new Redrives(fixture.database).start({}, { ...operator, perSecond }),
    ],
    ['limit of a list of half messages', (limit) => new HalfFloor(fixture).operations.list({}, { limit })],
    [
      'checkIntervalMs of a half message',
      (checkIntervalMs) =>
        new HalfFloor(fixture).halves.prepare({ topic, payload }, { checkIntervalMs } as never),
    ],
    [
      'timeoutMs of a local database',
      (timeoutMs) =>
        new LocalDatabases([]).describe({
          name: 'l',
          transactions: new PgTransactionRunner(fixture.database),
          session: fixture.database.session,
          timeoutMs,
        } as never),
    ],
    ['retentionMs of a topic', (retentionMs) => fixture.topics.create('other', { retentionMs })],
    ['retryIn of a handler', (delayMs) => retryIn(delayMs)],
  ];

  const refusals = async (taking: Taking, values: [string, unknown][]): Promise<string[]> => {
    const found: string[] = [];
    for (const [what, value] of values) {
      await fixture.transaction(async (tx) => {
        const done: unknown = await (async () => taking(value as never, tx))().then(
          () => 'was taken',
          (error: unknown) => error,
        );
        if (!isWaybillError(done) || /^DATABASE_|INVARIANT/.test(done.code))
          found.push(`${what}: ${String(done)}`);
        // A refusal never breaks the caller's transaction.
        await tx.query('select 1');
      });
    }
    return found;
  };

  test.each(DATES)(
    '%s: an invalid time is refused with a typed error, and breaks no transaction',
    async (_, taking) => {
      expect(await refusals(taking, NO_DATES)).toEqual([]);
    },
  );

  test.each(DURATIONS)(
    '%s: an invalid duration is refused with a typed error, and breaks no transaction',
    async (name, taking) => {
      const odd = name.startsWith('retryIn')
        ? NO_DURATIONS.filter(([what]) => what !== 'a fraction')
        : NO_DURATIONS;
      expect(await refusals(taking, odd)).toEqual([]);
    },
  );

  test('a deadline given for one saga is checked as well', async () => {
    const values = NO_DURATIONS.filter(([, value]) => value !== null);
    const taking: Taking = (deadlineMs, tx) =>
      floor.sagas.start(tx, definition, { key: 'two', data: {}, deadlineMs });
    expect(await refusals(taking, values)).toEqual([]);
  });
});

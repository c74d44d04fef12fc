import { describe, expect, test } from '@jest/globals';
import type { BankOperation, Operation } from '../history/operation.js';
import { check } from './all-checkers.js';
import type {
  Evidence,
  Passes,
  LedgerRow,
  LoggedRecord,
  OwnedEffect,
  Pass,
  StartedSaga,
} from './evidence.js';
import { checkProgress, checkRecovery, faultSpans, recoveryTimes, stalls } from './progress.js';

const record = (n: number, offset = n, more: Partial<LoggedRecord> = {}): LoggedRecord => ({
  partition: 0,
  offset,
  messageId: `id-${n}`,
  n,
  key: `key-${n % 2}`,
  turn: n,
  ...more,
});
const row = (n: number, more: Partial<LedgerRow> = {}): LedgerRow => ({
  id: n,
  group: 'a',
  n,
  partition: 0,
  offset: n,
  attempt: 1,
  delivery: `a/${n}`,
  atMs: n,
  ...more,
});
const published = (type: 'ok' | 'fail' | 'info', ...numbers: number[]): Operation => ({
  f: 'publish',
  type,
  id: `tx-${numbers[0]}`,
  atMs: 0,
  process: 'producer 1',
  messages: numbers.map((n) => ({ n, key: `key-${n % 2}`, turn: n })),
});
const position = (at: number, ownerEpoch = 1): Operation => ({
  f: 'position',
  atMs: at,
  process: 'observer',
  group: 'a',
  partition: 0,
  position: at,
  ownerEpoch,
});

const owned = (n: number, more: Partial<OwnedEffect> = {}): OwnedEffect => ({
  group: 'a',
  partition: 0,
  n,
  ownerEpoch: 1,
  owner: 'c-1.1',
  writer: 'c-1.1',
  ...more,
});
const pass = (n: number, token = `token-${n}`): Pass => ({ n, token });
/** Effects of a saga: `-charge` is the compensation of `charge`. */
const effects = (text: string): StartedSaga['effects'] =>
  text
    .split(' ')
    .map((name) => ({ step: name.replace('-', ''), direction: name.startsWith('-') ? 'undo' : 'do' }));
const DONE: StartedSaga = {
  key: 'o-1',
  scenario: 'good',
  sku: 'sku-1',
  customer: 'ada',
  pence: 7,
  state: 'COMPLETED',
  effects: effects('reserve charge book ship settle'),
};
const UNDONE: StartedSaga = {
  ...DONE,
  key: 'o-2',
  scenario: 'no-lorry',
  state: 'COMPENSATED',
  effects: effects('reserve charge book -book -charge -reserve'),
};
const look = (more: Partial<BankOperation> = {}): Operation => ({
  f: 'bank',
  atMs: 0,
  process: 'observer',
  pence: 100,
  poorest: 0,
  fewest: 4,
  ...more,
});

/** A run of four messages and two sagas that went well. */
const PASSES: Passes = {
  logged: [1, 2, 3].map((n) => pass(n)),
  intended: [0, 1, 2, 3, 4].map((n) => ({ ...pass(n), confirmed: Math.max(0, n - 2) })),
  inOneTransaction: false,
};
const GOOD: Evidence = {
  history: [
    published('ok', 0, 1),
    published('info', 2),
    published('fail', 9),
    published('ok', 3),
    position(2),
    position(4),
    look(),
    { f: 'saga', type: 'ok', key: 'o-1', atMs: 0, process: 's' },
  ],
  committed: new Set([0, 1, 2, 3]),
  log: [0, 1, 2, 3].map((n) => record(n)),
  logAgain: [0, 1, 2, 3].map((n) => record(n)),
  lostToRetention: new Set(),
  ledger: [0, 1, 2, 3].map((n) => row(n)),
  deadLetters: [],
  scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [1_002] }],
  halves: { committed: new Set([70]), effects: [70] },
  owned: [owned(0), owned(1), owned(2, { ownerEpoch: 2, owner: 'c-2.1', writer: 'c-2.1' })],
  passes: [PASSES],
  sagas: [DONE, UNDONE],
  bank: {
    opening: new Map(Object.entries({ ada: 100, escrow: 0, shop: 0, 'sku-1': 5 })),
    closing: new Map(Object.entries({ ada: 93, escrow: 0, shop: 7, 'sku-1': 4 })),
  },
  groups: ['a'],
};
const rules = (evidence: Partial<Evidence>): string[] => [
  ...new Set(check({ ...GOOD, ...evidence }).map(({ rule }) => rule)),
];

describe('the checkers', () => {
  test('find nothing in a run that went well', () => {
    expect(check(GOOD)).toEqual([]);
    const dead = { ledger: [row(0), row(1), row(3)], deadLetters: [{ group: 'a', n: 2, reason: 'failed' }] };
    expect(rules(dead)).toEqual([]);
  });

  test.each<[string, Partial<Evidence>, string]>([
    [
      'a lost message',
      { log: [0, 1, 2].map((n) => record(n)), ledger: [0, 1, 2].map((n) => row(n)), history: [] },
      'nothing committed is lost',
    ],
    [
      'a message of a rolled back transaction',
      { committed: new Set([0, 1, 2]), history: [] },
      'nothing rolled back is delivered',
    ],
    ['an acknowledged commit that is gone', { history: [published('ok', 7)] }, 'acknowledged commits hold'],
    [
      'a failed transaction that committed',
      { history: [published('fail', 3)] },
      'failed transactions leave nothing',
    ],
    [
      'a gap of offsets',
      {
        log: [record(0), record(1), record(2), record(3, 4)],
        ledger: [row(0), row(1), row(2), row(3, { offset: 4 })],
      },
      'offsets are dense',
    ],
    ['a message twice in the log', { log: [...GOOD.log, record(3, 4)] }, 'a message is in the log once'],
    [
      'readers who disagree',
      { ledger: [row(0), row(1), row(2, { offset: 3 }), row(3)] },
      'readers agree on offsets',
    ],
    [
      'a key whose order is lost',
      {
        log: [record(0), record(1), record(2, 2, { turn: 3, key: 'k' }), record(3, 3, { turn: 2, key: 'k' })],
      },
      'commit order per key',
    ],
    [
      'a key in two partitions',
      {
        log: [record(0), record(1), record(2), record(3, 0, { partition: 1 })],
        ledger: [row(0), row(1), row(2), row(3, { partition: 1, offset: 0 })],
      },
      'a key has one partition',
    ],
    ['an effect that is missing', { ledger: [row(0), row(1), row(3)] }, 'every message takes effect'],
    ['a position that passes it', { ledger: [row(0), row(1), row(3)] }, 'positions skip nothing'],
    [
      'an effect twice',
      { ledger: [...GOOD.ledger, row(3, { id: 4, attempt: 2 })] },
      'a message takes effect once',
    ],
    [
      'a dead letter with an effect',
      { deadLetters: [{ group: 'a', n: 2, reason: 'failed' }] },
      'a dead letter has no effect',
    ],
    ['an effect without a record', { ledger: [...GOOD.ledger, row(8)] }, 'effects come from the log'],
    [
      'effects of a key out of order',
      { ledger: [row(2, { id: 0 }), row(1), row(0, { id: 2 }), row(3)] },
      'effects keep the order of a key',
    ],
    ['a position that steps back', { history: [position(4), position(2)] }, 'positions do not step back'],
    ['an owner epoch that falls', { history: [position(2, 5), position(4, 4)] }, 'owner epochs do not fall'],
    [
      'a half message that is lost',
      { halves: { committed: new Set([70]), effects: [] } },
      'committed work delivers its half message',
    ],
    [
      'a half message of work that was rolled back',
      { halves: { committed: new Set(), effects: [70] } },
      'work that was rolled back delivers nothing',
    ],
    [
      'a half message twice',
      { halves: { committed: new Set([70]), effects: [70, 70] } },
      'a half message takes effect once',
    ],
    ['a timer that is lost', { scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [] }] }, 'no timer is lost'],
    [
      'a timer that fires twice',
      { scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [1_002, 1_003] }] },
      'a timer fires once',
    ],
    [
      'a timer that is early',
      { scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [990] }] },
      'no timer is early',
    ],
    [
      'a timer that is late',
      { scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [24_000] }] },
      'timers are on time',
    ],
    [
      'an effect of a fenced owner',
      { owned: [owned(0), owned(1, { ownerEpoch: 2, owner: 'c-2.1' })] },
      'no effect of a fenced owner',
    ],
    [
      'two owners in an epoch',
      { owned: [owned(0), owned(1, { owner: 'c-2.1', writer: 'c-2.1' })] },
      'an owner epoch has one owner',
    ],
    ['an acknowledged saga that is gone', { sagas: [UNDONE] }, 'acknowledged sagas exist'],
    ['a saga that is lost', { sagas: [{ ...DONE, state: null }] }, 'no saga is lost'],
    ['a saga that does not end', { sagas: [DONE, { ...UNDONE, state: 'STUCK' }] }, 'every saga ends'],
    [
      'a saga that passes over a refusal',
      { sagas: [{ ...DONE, scenario: 'no-money' }] },
      'a refused step is not passed over',
    ],
    [
      'a compensation that happens twice',
      { sagas: [DONE, { ...UNDONE, effects: effects('reserve charge -charge -charge -reserve') }] },
      'a step of a saga takes effect once',
    ],
    [
      'a completed saga that has undone something',
      { sagas: [{ ...DONE, effects: effects('reserve charge book ship settle -book') }] },
      'a completed saga has undone nothing',
    ],
    [
      'a completed saga that has left out a step',
      { sagas: [{ ...DONE, effects: effects('reserve charge ship settle') }] },
      'a completed saga has done its steps',
    ],
    [
      'a compensation that is left out',
      { sagas: [DONE, { ...UNDONE, effects: effects('reserve charge book -charge -reserve') }] },
      'a compensated saga has undone what it had done',
    ],
    [
      'compensations in forward order',
      { sagas: [DONE, { ...UNDONE, effects: effects('reserve charge -reserve -charge') }] },
      'compensations are in reverse order',
    ],
    ['money that is gone', { history: [look({ pence: 99 })] }, 'the sum of the bank is constant'],
    ['an account below zero', { history: [look({ poorest: -1 })] }, 'nothing is below zero'],
    ['a shelf below zero', { history: [look({ fewest: -1 })] }, 'nothing is below zero'],
    [
      'books that do not agree with the sagas',
      { bank: { ...GOOD.bank, closing: new Map([...GOOD.bank.closing, ['sku-1', 5]]) } },
      'the books agree with the sagas',
    ],
  ])('find %s', (_what, broken, rule) => {
    expect(rules(broken)).toContain(rule);
  });

  test.each<[string, Partial<Passes>, string]>([
    ['a pass that is missing', { logged: [pass(1), pass(3)] }, 'passes have no gap'],
    [
      'a pass that was taken twice',
      { logged: [pass(1), pass(2), pass(2, 'other'), pass(3)] },
      'a pass is in the log once',
    ],
    [
      'a pass under the token of another database',
      { logged: [pass(1), pass(2), pass(3, 'other')] },
      'a pass is what its service intended',
    ],
    [
      'a service that is far ahead',
      { intended: [1, 2, 3, 8].map((n) => ({ ...pass(n), confirmed: 0 })) },
      'few passes are under way',
    ],
    [
      'an answer that was never given',
      { intended: [1, 2, 3, 4].map((n) => ({ ...pass(n), confirmed: n })) },
      'an unanswered pass is not taken for answered',
    ],
  ])('find %s', (_what, changed, rule) => {
    expect(rules({ passes: [PASSES, { ...PASSES, ...changed }] })).toContain(rule);
  });

  test('excuse a timer that a fault delays', () => {
    const scheduled = [{ n: 50, dueAtMs: 1_000, effectsAtMs: [24_000] }];
    expect(rules({ history: [fault('invoke', 900), fault('ok', 9_000)], scheduled })).toEqual([]);
  });

  test('find the effect of an attempt that was reported as failed', () => {
    const failed: Operation = {
      f: 'handle',
      type: 'fail',
      atMs: 1,
      process: 'c',
      group: 'a',
      n: 1,
      partition: 0,
      offset: 1,
      attempt: 1,
      delivery: 'a/1',
    };
    expect(rules({ history: [failed] })).toEqual(['a failed attempt leaves nothing']);
    expect(
      rules({ history: [failed], ledger: [row(0), row(1, { attempt: 2, delivery: 'a/9' }), row(2), row(3)] }),
    ).toEqual([]);
  });
});

const fault = (type: 'invoke' | 'ok', atMs: number, name = 'kill'): Operation => ({
  f: 'fault',
  type,
  atMs,
  process: 'runner',
  name,
  stopsNothing: name === 'snapshot',
  detail: name,
});

describe('progress', () => {
  const at = (time: number, operation: Operation): Operation => ({ ...operation, atMs: time });
  /** Message 1 is committed at 2,000 and takes effect at 9,000. */
  const silent = (...faults: Operation[]): Evidence => ({
    ...GOOD,
    history: [at(0, published('ok', 0)), ...faults, at(2_000, published('ok', 1))],
    ledger: [row(0, { atMs: 1_000 }), row(1, { atMs: 9_000 })],
  });

  test('a silence is a stall unless a fault explains it', () => {
    const from = (evidence: Evidence): number[] => stalls(evidence, 3_000).map((span) => span.from);
    expect(from(silent())).toEqual([2_000]);
    expect(from(silent(fault('invoke', 1_900), fault('ok', 7_000)))).toEqual([]);
    expect(from(silent(fault('invoke', 1_900), fault('ok', 4_000)))).toEqual([4_000]);
    expect(from(silent(fault('invoke', 1_900, 'snapshot'), fault('ok', 7_000, 'snapshot')))).toEqual([2_000]);
    expect(checkProgress(silent(), 3_000)).toHaveLength(1);
  });

  test('a partition that waits is a stall although others move on', () => {
    const evidence = silent();
    const others = [3, 4, 5, 6, 7, 8].map((second) => row(3, { partition: 1, atMs: second * 1_000 }));
    expect(stalls({ ...evidence, ledger: [...evidence.ledger, ...others] }, 3_000)).toHaveLength(1);
  });

  test('no work is no stall', () => {
    const late = { ...GOOD, history: [at(8_000, published('ok', 1))], ledger: [row(1, { atMs: 9_000 })] };
    expect(stalls(late, 3_000)).toEqual([]);
  });

  test('a fault lasts until its end, or the end of the history', () => {
    const spans = faultSpans([
      fault('invoke', 10),
      fault('ok', 20),
      fault('invoke', 30),
      at(40, position(40)),
    ]);
    expect(spans.map(({ from, to }) => [from, to])).toEqual([
      [10, 20],
      [30, 40],
    ]);
  });

  test('recovery is the time until everything that was published before the end has taken effect', () => {
    const evidence = silent(fault('invoke', 500), fault('ok', 2_500));
    expect([...recoveryTimes(evidence)]).toEqual([['kill', [6_500]]]);
    expect(checkRecovery(evidence, 6_000)).toMatchObject([{ rule: 'recovery in time' }]);
    expect(checkRecovery(evidence, 7_000)).toEqual([]);
  });
});

import { describe, expect, test } from '@jest/globals';
import type { Operation } from '../history/operation.js';
import { check } from './all-checkers.js';
import type { Evidence, LedgerRow, LoggedRecord } from './evidence.js';
import { checkProgress, faultSpans, recoveryTimes, stalls } from './progress.js';

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

/** A run of four messages that went well. */
const GOOD: Evidence = {
  history: [
    published('ok', 0, 1),
    published('info', 2),
    published('fail', 9),
    published('ok', 3),
    position(2),
    position(4),
  ],
  committed: new Set([0, 1, 2, 3]),
  log: [0, 1, 2, 3].map((n) => record(n)),
  logAgain: [0, 1, 2, 3].map((n) => record(n)),
  lostToRetention: new Set(),
  ledger: [0, 1, 2, 3].map((n) => row(n)),
  deadLetters: [],
  scheduled: [{ n: 50, dueAtMs: 1_000, effectsAtMs: [1_002] }],
  halves: { committed: new Set([70]), effects: [70] },
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
  ])('find %s', (_what, broken, rule) => {
    expect(rules(broken)).toContain(rule);
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

describe('progress', () => {
  const fault = (type: 'invoke' | 'ok', atMs: number, name = 'kill'): Operation => ({
    f: 'fault',
    type,
    atMs,
    process: 'runner',
    name,
    stopsNothing: name === 'snapshot',
    detail: name,
  });
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
  });
});

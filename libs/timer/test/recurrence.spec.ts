import { describe, expect, test } from '@jest/globals';
import {
  assertRecurrence,
  dueRuns,
  type MissedRuns,
  nextRun,
  type Recurrence,
} from '../src/recurring/recurrence.js';

const at = (iso: string): number => Date.parse(iso);
const berlin = (cron: string): Recurrence => ({ cron, timeZone: 'Europe/Berlin' });

function runsFrom(recurrence: Recurrence, after: string, count: number): string[] {
  const runs: string[] = [];
  for (let next = at(after); runs.length < count;) {
    next = nextRun(recurrence, next);
    runs.push(new Date(next).toISOString().slice(0, 16));
  }
  return runs;
}

describe('a recurrence', () => {
  test('keeps local time when clocks are set forward; a time that does not exist is an hour later', () => {
    expect(runsFrom(berlin('0 9 * * *'), '2026-03-28T00:00Z', 2)).toEqual([
      '2026-03-28T08:00',
      '2026-03-29T07:00',
    ]);
    expect(runsFrom(berlin('30 2 * * *'), '2026-03-28T00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:30',
      '2026-03-30T00:30',
    ]);
  });

  test('runs once in the night in which clocks are set back, even if that run was missed', () => {
    const daily = berlin('30 2 * * *');
    expect(runsFrom(daily, '2026-10-24T12:00Z', 2)).toEqual(['2026-10-25T00:30', '2026-10-26T01:30']);
    const due = dueRuns(daily, 'one', at('2026-10-24T00:30Z'), at('2026-10-25T12:00Z'), 10);
    expect(due).toEqual({ runs: [at('2026-10-25T00:30Z')], nextMs: at('2026-10-26T01:30Z') });
    // Every half hour is every half hour.
    expect(runsFrom(berlin('*/30 * * * *'), '2026-10-24T23:59Z', 4)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T00:30',
      '2026-10-25T01:00',
      '2026-10-25T01:30',
    ]);
  });

  test('waits for the 29th of February', () => {
    const leap: Recurrence = { cron: '0 0 29 2 *', timeZone: 'UTC' };
    expect(runsFrom(leap, '2026-01-01T00:00Z', 2)).toEqual(['2028-02-29T00:00', '2032-02-29T00:00']);
    assertRecurrence('leap', leap, at('2026-01-01T00:00Z'));
  });

  const hourly: Recurrence = { cron: '0 * * * *', timeZone: 'UTC' };
  const every: Recurrence = { everyMs: 3_600_000 };
  test.each<[string, Recurrence, MissedRuns, string, string[]]>([
    ['in time', hourly, 'skip', '2026-01-01T10:00:00.040Z', ['10:00']],
    ['in time', every, 'one', '2026-01-01T10:00:00.040Z', ['10:00']],
    ['three hours late', hourly, 'skip', '2026-01-01T13:20Z', []],
    ['three hours late', every, 'skip', '2026-01-01T13:20Z', []],
    ['three hours late', hourly, 'one', '2026-01-01T13:20Z', ['13:00']],
    ['three hours late', every, 'one', '2026-01-01T13:20Z', ['13:00']],
    ['three hours late', hourly, 'all', '2026-01-01T13:20Z', ['10:00', '11:00', '12:00', '13:00']],
    ['three hours late, the last one in time', every, 'skip', '2026-01-01T13:00:30Z', ['13:00']],
  ])('that is %s (%j) with missed: %s, at %s, makes %j', (_, recurrence, missed, now, expected) => {
    const { runs, nextMs } = dueRuns(recurrence, missed, at('2026-01-01T10:00Z'), at(now), 100);
    expect(runs.map((run) => new Date(run).toISOString().slice(11, 16))).toEqual(expected);
    expect(nextMs).toBeGreaterThan(at(now));
    expect(nextMs % 3_600_000).toBe(0);
  });

  test('makes up for many missed runs in passes', () => {
    const first = dueRuns({ everyMs: 1_000 }, 'all', 0, 10_000, 4);
    expect(first).toEqual({ runs: [0, 1_000, 2_000, 3_000], nextMs: 4_000 });
    expect(dueRuns({ everyMs: 1_000 }, 'one', 0, 10_500, 4)).toEqual({ runs: [10_000], nextMs: 11_000 });
  });

  test.each<[string, Recurrence]>([
    ['an empty expression', { cron: '', timeZone: 'UTC' }],
    ['four fields', { cron: '0 0 * *', timeZone: 'UTC' }],
    ['a minute that does not exist', { cron: '61 * * * *', timeZone: 'UTC' }],
    ['a day that never comes', { cron: '0 0 30 2 *', timeZone: 'UTC' }],
    ['an unknown time zone', { cron: '0 0 * * *', timeZone: 'Europe/Atlantis' }],
    ['no interval', { everyMs: 0 }],
  ])('is refused with %s', (_, recurrence) => {
    expect(() => assertRecurrence('report', recurrence, at('2026-01-01T00:00Z'))).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});

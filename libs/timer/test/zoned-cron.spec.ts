import { describe, expect, test } from '@jest/globals';
import { assertRecurrence, dueRuns, nextRun } from '../src/recurring/recurrence.js';
import { ZonedCron } from '../src/recurring/zoned-cron.js';

const at = (iso: string): number => Date.parse(iso);
const MINUTE_MS = 60_000;

/** The moments of an expression in an interval, in order, and the same in reverse. */
function runs(cron: ZonedCron, from: number, until: number): number[] {
  const found: number[] = [];
  for (let next = cron.next(from - 1); next <= until; next = cron.next(next)) found.push(next);
  return found;
}

function runsBackwards(cron: ZonedCron, from: number, until: number): number[] {
  const found: number[] = [];
  for (let last = cron.last(until); last >= from; last = cron.last(last - 1)) found.unshift(last);
  return found;
}

/** The local times of the zone, e.g. `02:15`, minute by minute. */
function clock(timeZone: string): (moment: number) => string {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (moment) => format.format(moment);
}

/** Zones and days on which their clocks change: by an hour, half an hour, at midnight, by two hours, by a day. */
const SHIFTS: [zone: string, day: string][] = [
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['Australia/Lord_Howe', '2026-10-03'],
  ['Australia/Lord_Howe', '2026-04-04'],
  ['America/Santiago', '2026-09-06'],
  ['America/Santiago', '2026-04-04'],
  ['Antarctica/Troll', '2026-03-29'],
  ['Antarctica/Troll', '2026-10-25'],
  ['Pacific/Apia', '2011-12-30'],
  ['Asia/Kathmandu', '2026-05-05'],
];

describe.each(SHIFTS)('the clock of %s about %s', (timeZone, day) => {
  const from = at(`${day}T00:00Z`) - 36 * 3_600_000;
  const until = at(`${day}T00:00Z`) + 48 * 3_600_000;

  test('runs for every hour come whenever it shows their time', () => {
    const cron = new ZonedCron('7,22,37,52 * * * *', timeZone);
    const shown = clock(timeZone);
    const expected: number[] = [];
    for (let moment = from; moment <= until; moment += MINUTE_MS)
      if (['07', '22', '37', '52'].includes(shown(moment).slice(3))) expected.push(moment);
    expect(runs(cron, from, until)).toEqual(expected);
    expect(runsBackwards(cron, from, until)).toEqual(expected);
  });

  test.each(['00', '01', '02', '03', '23'])(
    'each time of hour %s runs once a day, at that time or later',
    (hour) => {
      const shown = clock(timeZone);
      for (const minute of ['00', '15', '30', '45']) {
        const cron = new ZonedCron(`${Number(minute)} ${Number(hour)} * * *`, timeZone);
        const found = runs(cron, from, until);
        expect(runsBackwards(cron, from, until)).toEqual(found);
        // It never runs twice in a night, and never skips a night.
        for (const [index, run] of found.entries()) {
          if (index === 0) continue;
          const apart = (run - (found[index - 1] ?? 0)) / 3_600_000;
          expect(apart).toBeGreaterThan(20);
          expect(apart).toBeLessThan(28);
        }
        const strange = found.filter((run) => shown(run) !== `${hour}:${minute}`);
        expect(strange.length).toBeLessThanOrEqual(1);
      }
    },
  );

  test('several times of one hour come in order, each once', () => {
    const cron = new ZonedCron('*/5 0-3 * * *', timeZone);
    const found = runs(cron, from, until);
    expect(found).toEqual([...new Set(found)].toSorted((a, b) => a - b));
    expect(runsBackwards(cron, from, until)).toEqual(found);
  });
});

describe('half an hour of daylight saving', () => {
  const zone = 'Australia/Lord_Howe';
  const times = (cron: string, from: string, count: number): string[] => {
    const found: string[] = [];
    for (let next = at(from); found.length < count;) {
      next = nextRun({ cron, timeZone: zone }, next);
      found.push(clock(zone)(next));
    }
    return found;
  };

  test('a time that does not exist is half an hour later', () => {
    expect(times('15 2 * * *', '2026-10-02T12:00Z', 3)).toEqual(['02:15', '02:45', '02:15']);
    expect(times('*/15 * * * *', '2026-10-03T15:00Z', 4)).toEqual(
      ['01:45', '02:30', '02:45', '03:00'].slice(0, 4),
    );
  });

  test('a repeated time counts once, and every quarter of an hour is every quarter of an hour', () => {
    const daily = { cron: '45 1 * * *', timeZone: zone };
    const first = nextRun(daily, at('2026-04-04T12:00Z'));
    expect(new Date(first).toISOString()).toBe('2026-04-04T14:45:00.000Z');
    expect(new Date(nextRun(daily, first)).toISOString()).toBe('2026-04-05T15:15:00.000Z');
    expect(times('*/15 * * * *', '2026-04-04T14:20Z', 6)).toEqual([
      '01:30',
      '01:45',
      '01:30',
      '01:45',
      '02:00',
      '02:15',
    ]);
    const due = dueRuns(daily, 'one', at('2026-04-03T14:45Z'), at('2026-04-05T00:00Z'), 10);
    expect(due).toEqual({ runs: [first], nextMs: at('2026-04-05T15:15Z') });
  });
});

describe('an expression with an H', () => {
  test.each(['H * * * *', '0 H * * *', 'h h * * *', 'H(0-5) * * * *', 'H/5 * * * *', '0,H * * * *'])(
    '%s is refused: it would give a different time at each evaluation',
    (cron) => {
      expect(() => assertRecurrence('report', { cron, timeZone: 'UTC' }, 0)).toThrow(
        expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringContaining('H') }),
      );
    },
  );

  test('names of days and months are accepted', () => {
    for (const cron of ['0 0 * MAR *', '0 0 * mar *', '0 0 * * THU', '0 0 * * thu'])
      expect(() => assertRecurrence('report', { cron, timeZone: 'UTC' }, 0)).not.toThrow();
  });
});

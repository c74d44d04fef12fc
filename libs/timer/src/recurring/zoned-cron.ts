import { CronExpressionParser } from 'cron-parser';

/** No clock on Earth is set by more, in milliseconds; nor twice within so long. */
const MOST_SHIFT_MS = 27 * 3_600_000;

/** A moment at which the clocks of a zone are set. Offsets are local time minus UTC, in milliseconds. */
interface Shift {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** The moment of a time of a clock, and the stretch of times whose moments may stand in another order. */
interface TimeOfClock {
  readonly moment: number;
  readonly from: number;
  readonly until: number;
}

/**
 * A cron expression read by the clock of a time zone. The parser is asked in UTC only, where every day has 24 hours, with
 * times of the zone's clock; what happens when clocks are set is decided here, by whatever they are set:
 *
 * - An expression for certain hours runs once for each of its times. A time that does not exist is later by as much as the
 *   clocks were set forward; one that comes twice counts the first time.
 * - An expression for every hour runs whenever the clock shows one of its times.
 */
export class ZonedCron {
  readonly #zone: Zone;
  readonly #isForEveryHour: boolean;

  /** @throws Error when the expression or the zone is not usable */
  constructor(
    private readonly cron: string,
    timeZone: string,
  ) {
    this.#zone = Zone.of(timeZone);
    this.#isForEveryHour = this.#from(0).fields.hour.values.length === 24;
  }

  /** The first run after this moment. Milliseconds since the epoch. */
  next(afterMs: number): number {
    return this.#isForEveryHour ? this.#nextShown(afterMs) : this.#nextOnce(afterMs);
  }

  /** The last run up to this moment. */
  last(untilMs: number): number {
    return this.#isForEveryHour ? this.#lastShown(untilMs) : this.#lastOnce(untilMs);
  }

  #nextShown(afterMs: number): number {
    for (let from = afterMs; ;) {
      const offset = this.#zone.offset(from);
      const found =
        this.#from(from + offset)
          .next()
          .getTime() - offset;
      if (this.#zone.offset(found) === offset) return found;
      // The clocks are set before: what they show from then on is looked at from there.
      const { at, after } = this.#zone.shiftBetween(from, found);
      if (this.#shows(at + after)) return at;
      from = at;
    }
  }

  #lastShown(untilMs: number): number {
    for (let until = untilMs; ;) {
      const offset = this.#zone.offset(until);
      const found =
        this.#from(until + offset + 1)
          .prev()
          .getTime() - offset;
      if (this.#zone.offset(found) === offset) return found;
      until = this.#zone.shiftBetween(found, until).at - 1;
    }
  }

  #nextOnce(afterMs: number): number {
    const { before, after } = this.#zone.shiftNear(afterMs) ?? { before: 0, after: 0 };
    // Times that do not exist come later than some behind them.
    const shown = this.#from(afterMs + this.#zone.offset(afterMs) - Math.max(0, after - before));
    let found = Infinity;
    for (;;) {
      const time = shown.next().getTime();
      const { moment, until } = this.#zone.momentOf(time);
      if (moment > afterMs) found = Math.min(found, moment);
      if (found < Infinity && time >= until) return found;
    }
  }

  #lastOnce(untilMs: number): number {
    const { before, after } = this.#zone.shiftNear(untilMs) ?? { before: 0, after: 0 };
    const shown = this.#from(untilMs + this.#zone.offset(untilMs) + 1 + Math.max(0, before - after));
    let found = -Infinity;
    for (;;) {
      const time = shown.prev().getTime();
      const { moment, from } = this.#zone.momentOf(time);
      if (moment <= untilMs) found = Math.max(found, moment);
      if (found > -Infinity && time <= from) return found;
    }
  }

  /** Whether a time of the clock is one of the expression's. */
  #shows(time: number): boolean {
    return (
      this.#from(time - 1)
        .next()
        .getTime() === time
    );
  }

  #from(time: number) {
    return CronExpressionParser.parse(this.cron, { currentDate: new Date(time), tz: 'UTC' });
  }
}

/** The clock of a time zone. Its times are milliseconds as if they were UTC. */
class Zone {
  static readonly #known = new Map<string, Zone>();

  static of(name: string): Zone {
    const known = Zone.#known.get(name) ?? new Zone(name);
    Zone.#known.set(name, known);
    return known;
  }

  readonly #format: Intl.DateTimeFormat;

  private constructor(name: string) {
    const two = '2-digit';
    const fields = { year: 'numeric', month: two, day: two, hour: two, minute: two, second: two } as const;
    this.#format = new Intl.DateTimeFormat('en-US', { ...fields, timeZone: name, hourCycle: 'h23' });
  }

  /** Local time minus UTC at a moment. */
  offset(moment: number): number {
    const parts = new Map(this.#format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]));
    const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
    const shown = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
    return shown - Math.floor(moment / 1_000) * 1_000;
  }

  /** When the clocks are set within a day or so of a moment; undefined when they are not. */
  shiftNear(moment: number): Shift | undefined {
    const [from, until] = [moment - MOST_SHIFT_MS, moment + MOST_SHIFT_MS];
    return this.offset(from) === this.offset(until) ? undefined : this.shiftBetween(from, until);
  }

  /** A shift between two moments with different offsets. */
  shiftBetween(from: number, until: number): Shift {
    const before = this.offset(from);
    let [low, high] = [from, until];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offset(middle) === before) low = middle;
      else high = middle;
    }
    return { at: high, before, after: this.offset(high) };
  }

  /** The moment that stands for a time of the clock. */
  momentOf(time: number): TimeOfClock {
    const guess = time - this.offset(time);
    const shift = this.shiftNear(guess);
    if (shift === undefined) return { moment: time - this.offset(guess), from: time, until: time };
    const { at, before, after } = shift;
    const moment = time - (time < at + Math.max(before, after) ? before : after);
    // Times that do not exist are moved among those behind them.
    const [from, until] = [at + before, at + after + (after - before)];
    return time >= from && time < until ? { moment, from, until } : { moment, from: time, until: time };
  }
}

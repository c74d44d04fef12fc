import { CronExpressionParser } from 'cron-parser';

/** The largest clock change on Earth, in milliseconds, and the minimum time between two of them. */
const MOST_SHIFT_MS = 27 * 3_600_000;

/** A moment at which the clocks of a zone change. Offsets are local time minus UTC, in milliseconds. */
interface Shift {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** The moment of a local time, and the interval of local times whose moments may be in a different order. */
interface TimeOfClock {
  readonly moment: number;
  readonly from: number;
  readonly until: number;
}

/**
 * A cron expression in the local time of a time zone. The parser works only in UTC, where every day has 24 hours, with
 * local times of the zone; clock changes of any size are handled here:
 *
 * - An expression for certain hours runs once for each of its times. A time that does not exist moves by as much as the
 *   clocks were set forward; a repeated one counts the first time.
 * - An expression for every hour runs whenever the clock shows one of its times.
 */
export class ZonedCron {
  readonly #zone: Zone;
  readonly #isForEveryHour: boolean;

  /** @throws Error if the expression or the zone is not usable */
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
      // The clocks change before: the search continues from the local time after the change.
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
    // Times that do not exist come later than some that follow them.
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

  /** Whether a local time matches the expression. */
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

/** The clock of a time zone. Local times are given in milliseconds as if they were UTC. */
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

  /** The clock change within about a day of a moment; undefined if there is none. */
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

  /** The moment of a local time. */
  momentOf(time: number): TimeOfClock {
    const guess = time - this.offset(time);
    const shift = this.shiftNear(guess);
    if (shift === undefined) return { moment: time - this.offset(guess), from: time, until: time };
    const { at, before, after } = shift;
    const moment = time - (time < at + Math.max(before, after) ? before : after);
    // Times that do not exist are moved among those that follow them.
    const [from, until] = [at + before, at + after + (after - before)];
    return time >= from && time < until ? { moment, from, until } : { moment, from: time, until: time };
  }
}

/**
 * The time of year, month, day, hour, minute and second, in UTC; undefined when no such date or time exists.
 * `Date` would turn 31 February into 3 March.
 */
export function utcTime(parts: readonly number[]): Date | undefined {
  const [year = Number.NaN, month = Number.NaN, day = Number.NaN, hour = 0, minute = 0, second = 0] = parts;
  const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const isAsGiven =
    time.getUTCFullYear() === year &&
    time.getUTCMonth() === month - 1 &&
    time.getUTCDate() === day &&
    time.getUTCHours() === hour &&
    time.getUTCMinutes() === minute &&
    time.getUTCSeconds() === second;
  return isAsGiven ? time : undefined;
}

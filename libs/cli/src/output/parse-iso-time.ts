const ISO_TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?(?:Z|([+-])(\d{2}):?(\d{2})))?$/;
const MINUTE_MS = 60_000;

/**
 * Reads an ISO 8601 time with its zone, or a day, which starts at midnight UTC. Dates that do not exist are refused:
 * `Date.parse` turns 31 February into 3 March, and 24:00 into the next day.
 * @returns undefined if the string is not a time
 */
export function parseIsoTime(text: string): Date | undefined {
  const match = ISO_TIME.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const [, , , , , , , fraction = '', sign, zoneHours = '0', zoneMinutes = '0'] = match;
  if (Number(zoneHours) > 23 || Number(zoneMinutes) > 59) return undefined;
  date.setUTCHours(hour, minute, second, Number(fraction.slice(1, 4).padEnd(3, '0')));
  const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * MINUTE_MS;
  return new Date(date.getTime() + (sign === '-' ? zoneMs : -zoneMs));
}

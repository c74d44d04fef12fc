const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const KIB = 1_024;
const BYTE_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
/** Up to here our statements count. */
const MOST = 100_000;

/** A length of time for people, rounded down: 45 s, 12 min, 5 h, 3 d. */
export function ageText(ms: number): string {
  const age = Math.max(0, ms);
  if (age < 2 * MINUTE_MS) return `${Math.floor(age / SECOND_MS)} s`;
  if (age < 2 * HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min`;
  if (age < 2 * DAY_MS) return `${Math.floor(age / HOUR_MS)} h`;
  return `${Math.floor(age / DAY_MS)} d`;
}

/** A count and its noun; counts end at 100,000. */
export function countText(count: number, noun: string): string {
  const number = count.toLocaleString('en-US');
  return `${count >= MOST ? `${number} or more` : number} ${noun}${count === 1 ? '' : 's'}`;
}

/** A size for people: 12.3 MiB. */
export function bytesText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= KIB && unit < BYTE_UNITS.length - 1) {
    size /= KIB;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

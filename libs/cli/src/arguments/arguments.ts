import { isId } from '@waybill/kernel';
import { InvalidArgumentError } from 'commander';
import { parseIsoTime } from '../output/parse-iso-time.js';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
type Unit = keyof typeof UNITS;

/** Reads a whole number from the command line. */
export function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw new InvalidArgumentError('must be a whole number');
  return Number(value);
}

/** Reads a time from the command line: ISO 8601. */
export function time(value: string): Date {
  const date = parseIsoTime(value);
  if (date === undefined)
    throw new InvalidArgumentError('must be a time with its zone, such as 2026-11-21T12:00:00Z, or a day');
  return date;
}

/**
 * Reads a duration from the command line, in milliseconds: a whole number and its unit, such as 500ms, 90s, 15m, 24h,
 * 7d, 2w.
 * @param unit the unit of a number without one; without this parameter, such a number is refused unless it is 0
 */
export function duration(unit?: Unit): (value: string) => number {
  return (value) => {
    const match = /^(\d+)(ms|s|m|h|d|w)?$/.exec(value);
    const given = (match?.[2] as Unit | undefined) ?? unit ?? (value === '0' ? 'ms' : undefined);
    const milliseconds = match === null || given === undefined ? Number.NaN : Number(match[1]) * UNITS[given];
    if (!Number.isSafeInteger(milliseconds))
      throw new InvalidArgumentError('must be a duration, such as 500ms, 90s, 15m, 24h or 7d');
    return milliseconds;
  };
}

/** Formats a duration for people: with the largest unit that gives a whole number, such as 7d. */
export function durationText(milliseconds: number): string {
  const units = (Object.entries(UNITS) as [Unit, number][]).filter(([unit]) => unit !== 'w').toReversed();
  const [unit, size] = units.find(([, ms]) => milliseconds >= ms && milliseconds % ms === 0) ?? ['ms', 1];
  return `${milliseconds / size}${unit}`;
}

/** Reads an id from the command line: a UUID. */
export function id(value: string): string {
  if (!isId(value))
    throw new InvalidArgumentError('must be an id, such as 01a1fe9f-f3e8-7764-b6cb-0012f109d604');
  return value;
}

/** Collects an option that may be given more than once. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

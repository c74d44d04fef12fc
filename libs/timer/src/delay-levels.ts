const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** RocketMQ's 18 delay levels, by their names, in milliseconds. */
export const DELAY_LEVELS_MS = {
  '1s': SECOND,
  '5s': 5 * SECOND,
  '10s': 10 * SECOND,
  '30s': 30 * SECOND,
  '1m': MINUTE,
  '2m': 2 * MINUTE,
  '3m': 3 * MINUTE,
  '4m': 4 * MINUTE,
  '5m': 5 * MINUTE,
  '6m': 6 * MINUTE,
  '7m': 7 * MINUTE,
  '8m': 8 * MINUTE,
  '9m': 9 * MINUTE,
  '10m': 10 * MINUTE,
  '20m': 20 * MINUTE,
  '30m': 30 * MINUTE,
  '1h': HOUR,
  '2h': 2 * HOUR,
} as const;

/** The name of a delay level. */
export type DelayLevel = keyof typeof DELAY_LEVELS_MS;

/** The furthest due time of a timer, in milliseconds from now: 100 years. */
export const LONGEST_DELAY_MS = 36_525 * 24 * HOUR;

import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { ZonedCron } from './zoned-cron.js';

/** A schedule: a cron expression in a time zone, or an interval in milliseconds. */
export type Recurrence = { readonly cron: string; readonly timeZone: string } | { readonly everyMs: number };

/** Which missed runs are made up for: none, the newest, or all. */
export type MissedRuns = 'skip' | 'one' | 'all';

/** The runs to make now, and the next one. Milliseconds since the epoch. */
export interface DueRuns {
  readonly runs: readonly number[];
  readonly nextMs: number;
}

/** A run that is later than this was missed, in milliseconds. */
export const MISSED_AFTER_MS = 60_000;

/**
 * @throws ConfigurationError if the expression or the time zone is not usable, or no run will ever come
 */
export function assertRecurrence(name: string, recurrence: Recurrence, nowMs: number): void {
  if ('everyMs' in recurrence) {
    const { everyMs } = recurrence;
    if (Number.isSafeInteger(everyMs) && everyMs >= 1 && everyMs <= 366 * 86_400_000) return;
    throw unusable(name, `everyMs must be a whole number from 1 to 366 days, got ${show(everyMs)}`);
  }
  const { cron, timeZone } = recurrence;
  if (typeof cron !== 'string' || typeof timeZone !== 'string')
    throw unusable(name, `cron and timeZone must be strings, got ${show(cron)} and ${show(timeZone)}`);
  try {
    // A name of the tz database, which Intl knows; cron-parser would use UTC for an unknown one.
    Intl.DateTimeFormat('en', { timeZone });
  } catch (cause) {
    throw unusable(name, `timeZone ${JSON.stringify(timeZone)} is unknown`, cause);
  }
  if (!/^(@\w+|\S+(\s+\S+){4,5})$/.test(cron.trim())) {
    throw unusable(name, `cron ${JSON.stringify(cron)} must have five fields, or six with seconds first`);
  }
  if (/(?:^|[\s,])H(?![A-Za-z])/i.test(cron)) {
    throw unusable(
      name,
      `cron ${JSON.stringify(cron)} has an H, which would give a different time at each evaluation: state the time`,
    );
  }
  try {
    nextRun(recurrence, nowMs);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw unusable(name, `cron ${JSON.stringify(cron)} is not usable: ${problem}`, cause);
  }
}

/** The first run after `afterMs`. */
export function nextRun(recurrence: Recurrence, afterMs: number): number {
  if ('everyMs' in recurrence) return afterMs + recurrence.everyMs;
  return cronOf(recurrence).next(afterMs);
}

/**
 * Which runs to make now.
 * @param runMs the run whose timer has fired, at most `nowMs`
 * @param limit the most runs; the rest is left for the next pass
 */
export function dueRuns(
  recurrence: Recurrence,
  missed: MissedRuns,
  runMs: number,
  nowMs: number,
  limit: number,
): DueRuns {
  if (missed === 'all') {
    const runs: number[] = [];
    let next = runMs;
    while (next <= nowMs && runs.length < limit) {
      runs.push(next);
      next = nextRun(recurrence, next);
    }
    return { runs, nextMs: next };
  }
  const newest = newestRun(recurrence, runMs, nowMs);
  const runs = missed === 'one' || nowMs - newest <= MISSED_AFTER_MS ? [newest] : [];
  return { runs, nextMs: nextRun(recurrence, newest) };
}

/** The last run up to `nowMs`, found without iterating over all of them. */
function newestRun(recurrence: Recurrence, runMs: number, nowMs: number): number {
  if ('everyMs' in recurrence) {
    return runMs + Math.floor((nowMs - runMs) / recurrence.everyMs) * recurrence.everyMs;
  }
  return Math.max(runMs, cronOf(recurrence).last(nowMs));
}

function cronOf({ cron, timeZone }: Extract<Recurrence, { cron: string }>): ZonedCron {
  return new ZonedCron(cron, timeZone);
}

function unusable(name: string, problem: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(`The recurring message ${name} is not usable`, [problem], { cause });
}

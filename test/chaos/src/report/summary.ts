import { recoveryTimes, stalls } from '../checkers/progress.js';
import type { Violation } from '../checkers/evidence.js';
import type { ChaosArguments } from '../runner/arguments.js';
import { type ChaosResult, STALL_MS } from '../runner/run-chaos.js';

/** Which rules a figure counts. */
export const FIGURES = {
  lost: [
    'nothing committed is lost',
    'every message takes effect',
    'positions skip nothing',
    'no timer is lost',
    'committed work delivers its half message',
  ],
  duplicatesInLog: ['a message is in the log once'],
  duplicateEffects: ['a message takes effect once', 'a timer fires once', 'a half message takes effect once'],
  outOfOrder: ['commit order per key', 'effects keep the order of a key'],
} as const;

/** The figures of a run, as the last line prints them. */
export interface Summary {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly attempted: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicatesInLog: number;
  readonly duplicateEffects: number;
  readonly outOfOrder: number;
  /** Transactions whose outcome was unknown to the producer. */
  readonly unknown: number;
  /** Deliveries that were left when the time was up. */
  readonly stuck: number;
  readonly stalledMs: number;
  readonly recoveryP99Ms: number;
  readonly verdict: 'pass' | 'fail';
}

/** Counts what a run did, and what was wrong with it. */
export function summarise(
  { seed, faults }: Pick<ChaosArguments, 'seed' | 'faults'>,
  result: ChaosResult,
): Summary {
  const { evidence, violations, stuck } = result;
  const outcomes = evidence.history.filter((one) => one.f === 'publish');
  const stalled = stalls(evidence, STALL_MS).reduce((sum, { from, to }) => sum + to - from, 0);
  return {
    seed,
    faults,
    attempted: outcomes.filter(({ type }) => type === 'invoke').length,
    delivered: evidence.ledger.length,
    lost: countOf(violations, FIGURES.lost),
    duplicatesInLog: countOf(violations, FIGURES.duplicatesInLog),
    duplicateEffects: countOf(violations, FIGURES.duplicateEffects),
    outOfOrder: countOf(violations, FIGURES.outOfOrder),
    unknown: outcomes.filter(({ type }) => type === 'info').length,
    stuck,
    stalledMs: Math.round(stalled),
    recoveryP99Ms: p99([...recoveryTimes(evidence).values()].flat()) ?? 0,
    verdict: violations.length === 0 ? 'pass' : 'fail',
  };
}

/** How many messages violations of these rules are about. */
function countOf(violations: readonly Violation[], rules: readonly string[]): number {
  return violations
    .filter(({ rule }) => rules.includes(rule))
    .reduce((sum, { times }) => sum + (times?.length ?? 1), 0);
}

/** The time that 99 % of these are not above, rounded; undefined for none. */
export function p99(times: readonly number[]): number | undefined {
  const sorted = times.toSorted((a, b) => a - b);
  const value = sorted[Math.ceil(sorted.length * 0.99) - 1];
  return value === undefined ? undefined : Math.round(value);
}

import type { ChaosResult } from '../runner/run-chaos.js';
import type { ChaosArguments } from '../runner/arguments.js';

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
  readonly unknown: number;
  readonly stalledMs: number;
  readonly recoveryP99Ms: number;
  readonly verdict: 'pass' | 'fail';
}

/** Counts what a run did, and what was wrong with it. */
export function summarise(
  { seed, faults }: ChaosArguments,
  { evidence, violations, recovery }: ChaosResult,
): Summary {
  const count = (rule: string): number => violations.filter((one) => one.rule === rule).length;
  const outcomes = evidence.history.filter((one) => one.f === 'publish');
  const times = [...recovery.values()].flat().toSorted((a, b) => a - b);
  return {
    seed,
    faults,
    attempted: outcomes.filter(({ type }) => type === 'invoke').length,
    delivered: evidence.ledger.length,
    lost: count('nothing committed is lost') + count('every message takes effect'),
    duplicatesInLog: count('a message is in the log once'),
    duplicateEffects: count('a message takes effect once'),
    outOfOrder: count('commit order per key') + count('effects keep the order of a key'),
    unknown: outcomes.filter(({ type }) => type === 'info').length,
    stalledMs: count('progress while healthy'),
    recoveryP99Ms: Math.round(times[Math.ceil(times.length * 0.99) - 1] ?? 0),
    verdict: violations.length === 0 ? 'pass' : 'fail',
  };
}

import type { Violation } from '../checkers/evidence.js';
import { type FaultSpan, faultSpans, recoveryTimes, stalls } from '../checkers/progress.js';
import { type ChaosResult, STALL_MS } from '../runner/run-chaos.js';
import { FIGURES, p99 } from './summary.js';

const HEAD = [
  'fault',
  'times',
  'seconds',
  'attempted',
  'committed',
  'delivered',
  'lost',
  'doubled',
  'out of order',
  'unknown',
  'stalled s',
  'recovery p99 ms',
  'verdict',
];

/**
 * A line for each fault: what happened while it was at work, and what went wrong from its beginning to that of the next. What went
 * wrong at a time that is not known is in the line of the run.
 */
export function faultTable({ evidence, violations }: ChaosResult): string {
  const { history, ledger } = evidence;
  const spans = faultSpans(history);
  const recovery = recoveryTimes(evidence);
  const blamed = blame(violations, spans);
  const standing = stalls(evidence, STALL_MS);
  const lines = [...recovery].map(([name, times]) => {
    const own = spans.filter((span) => span.name === name);
    const within = (atMs: number): boolean => own.some(({ from, to }) => atMs >= from && atMs <= to);
    const published = history.filter((one) => one.f === 'publish' && within(one.atMs));
    const count = (type: string): number =>
      published.filter((one) => 'type' in one && one.type === type).length;
    const wrong = blamed.get(name) ?? [];
    const wrongBy = (rules: readonly string[]): number => wrong.filter((rule) => rules.includes(rule)).length;
    const stalled = standing
      .filter(({ from }) => blamedOn(from, spans) === name)
      .reduce((sum, { from, to }) => sum + to - from, 0);
    return [
      name,
      own.length,
      seconds(own.reduce((sum, { from, to }) => sum + to - from, 0)),
      count('invoke'),
      count('ok'),
      ledger.filter(({ atMs }) => within(atMs)).length,
      wrongBy(FIGURES.lost),
      wrongBy([...FIGURES.duplicatesInLog, ...FIGURES.duplicateEffects]),
      wrongBy(FIGURES.outOfOrder),
      count('info'),
      seconds(stalled),
      p99(times) ?? '–',
      wrong.length === 0 ? 'pass' : 'fail',
    ].map(String);
  });
  return aligned([HEAD, ...lines]);
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(1);

/** The rules that were broken, by the fault that had begun last, once for each message. */
function blame(violations: readonly Violation[], spans: readonly FaultSpan[]): Map<string, string[]> {
  const byFault = new Map<string, string[]>();
  for (const { rule, times } of violations)
    for (const atMs of times ?? []) {
      const name = blamedOn(atMs, spans);
      if (name !== undefined) byFault.set(name, [...(byFault.get(name) ?? []), rule]);
    }
  return byFault;
}

function blamedOn(atMs: number, spans: readonly FaultSpan[]): string | undefined {
  return spans.filter(({ from }) => from <= atMs).toSorted((a, b) => b.from - a.from)[0]?.name;
}

/** Columns of equal width; the first is text, the others are figures. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
}

import { faultSpans } from '../checkers/progress.js';
import type { ChaosResult } from '../runner/run-chaos.js';

const HEAD = ['fault', 'times', 'seconds', 'attempted', 'committed', 'delivered', 'unknown', 'recovery p99'];

/** A line for each fault: what happened while it was at work, and how long recovery took. */
export function faultTable({ evidence, recovery }: ChaosResult): string {
  const { history, ledger } = evidence;
  const spans = faultSpans(history);
  const lines = [...recovery].map(([name, times]) => {
    const own = spans.filter((span) => span.name === name);
    const within = (atMs: number): boolean => own.some(({ from, to }) => atMs >= from && atMs <= to);
    const published = history.filter((one) => one.f === 'publish' && within(one.atMs));
    const count = (type: string): number =>
      published.filter((one) => 'type' in one && one.type === type).length;
    const seconds = own.reduce((sum, { from, to }) => sum + to - from, 0) / 1_000;
    const sorted = times.toSorted((a, b) => a - b);
    const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1];
    return [
      name,
      String(own.length),
      seconds.toFixed(1),
      String(count('invoke')),
      String(count('ok')),
      String(ledger.filter(({ atMs }) => within(atMs)).length),
      String(count('info')),
      p99 === undefined ? '–' : `${Math.round(p99)} ms`,
    ];
  });
  return aligned([HEAD, ...lines]);
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

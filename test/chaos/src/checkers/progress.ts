import type { FaultOperation, Operation } from '../history/operation.js';
import type { Evidence, Violation } from './evidence.js';

/** A span of time, in milliseconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The times in which a fault was at work. */
export function faultSpans(history: readonly Operation[]): (Span & { readonly name: string })[] {
  const open = new Map<string, FaultOperation>();
  const spans: (Span & { name: string })[] = [];
  const end = history.at(-1)?.atMs ?? 0;
  for (const operation of history) {
    if (operation.f !== 'fault') continue;
    const id = `${operation.name} ${operation.detail}`;
    const begun = open.get(id);
    if (operation.type === 'invoke') open.set(id, operation);
    else if (begun !== undefined) {
      spans.push({ name: operation.name, from: begun.atMs, to: operation.atMs });
      open.delete(id);
    }
  }
  for (const { name, atMs } of open.values()) spans.push({ name, from: atMs, to: end });
  return spans;
}

/**
 * Times without any effect while there was work and no fault was at work, beyond the time that recovery may take. `from` counts
 * from the end of the last fault.
 */
export function stalls(
  effectTimes: readonly number[],
  spans: readonly Span[],
  run: Span,
  recoveryMs: number,
): Span[] {
  const marks = [run.from, ...effectTimes.filter((at) => at >= run.from && at <= run.to), run.to].toSorted(
    (a, b) => a - b,
  );
  return marks.flatMap((to, index) => {
    if (index === 0) return [];
    let from = marks[index - 1] as number;
    for (const span of spans) if (span.from < to && span.to > from) from = Math.max(from, span.to);
    return to - from > recoveryMs ? [{ from, to }] : [];
  });
}

/** How long after each fault's end the next effect came, in milliseconds; the highest of 99 % of them is reported. */
export function recoveryTimes(effectTimes: readonly number[], spans: readonly Span[]): number[] {
  const times = effectTimes.toSorted((a, b) => a - b);
  return spans.flatMap(({ to }) => {
    const next = times.find((at) => at >= to);
    return next === undefined ? [] : [next - to];
  });
}

/** While the servers are healthy, something takes effect: a stall is a failure. */
export function checkProgress(evidence: Evidence, run: Span, recoveryMs: number): Violation[] {
  const times = evidence.ledger.map(({ atMs }) => atMs);
  return stalls(times, faultSpans(evidence.history), run, recoveryMs).map(({ from, to }) => ({
    rule: 'progress while healthy',
    what: `nothing took effect for ${Math.round(to - from)} ms from ${new Date(from).toISOString()}, with no fault at work`,
  }));
}

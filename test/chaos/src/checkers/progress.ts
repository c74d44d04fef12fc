import type { FaultOperation, Operation, PublishOperation } from '../history/operation.js';
import { groupBy } from './group-by.js';
import type { Evidence, LedgerRow, Violation } from './evidence.js';

/** A span of time, in milliseconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A time in which a fault was at work. */
export interface FaultSpan extends Span {
  readonly name: string;
  /** Everything had to go on meanwhile. */
  readonly stopsNothing: boolean;
}

/** The times in which faults were at work. */
export function faultSpans(history: readonly Operation[]): FaultSpan[] {
  const open = new Map<string, FaultOperation>();
  const spans: FaultSpan[] = [];
  const end = history.at(-1)?.atMs ?? 0;
  const spanOf = ({ name, stopsNothing, atMs }: FaultOperation, to: number): FaultSpan => ({
    name,
    stopsNothing,
    from: atMs,
    to,
  });
  for (const operation of history) {
    if (operation.f !== 'fault') continue;
    const id = `${operation.name} ${operation.detail}`;
    const begun = open.get(id);
    if (operation.type === 'invoke') open.set(id, operation);
    else if (begun !== undefined) {
      spans.push(spanOf(begun, operation.atMs));
      open.delete(id);
    }
  }
  for (const begun of open.values()) spans.push(spanOf(begun, end));
  return spans;
}

/** When each message was certainly published, in milliseconds since 1970, by its number. */
export function publishTimes(history: readonly Operation[]): Map<number, number> {
  const published = history.filter(
    (one): one is PublishOperation => one.f === 'publish' && one.type === 'ok',
  );
  return new Map(published.flatMap(({ atMs, messages }) => messages.map(({ n }) => [n, atMs] as const)));
}

/** The longest time after the end of the last fault in a span. */
function healthy({ from, to }: Span, spans: readonly FaultSpan[]): Span {
  let start = from;
  for (const span of spans)
    if (!span.stopsNothing && span.from < to && span.to > start) start = Math.min(to, span.to);
  return { from: start, to };
}

/**
 * Times without an effect in a partition of a group, although messages were waiting there and no fault was at work: beyond the
 * time that recovery may take after a fault. A message waits from its commit to its effect.
 */
export function stalls(evidence: Evidence, recoveryMs: number): (Span & { readonly where: string })[] {
  const published = publishTimes(evidence.history);
  const spans = faultSpans(evidence.history);
  const lanes = groupBy(evidence.ledger, ({ group, partition }) => `${group}[${partition}]`);
  return [...lanes].flatMap(([where, rows]) =>
    silences(rows, published)
      .map((silence) => healthy(silence, spans))
      .filter(({ from, to }) => to - from > recoveryMs)
      .map((span) => ({ ...span, where })),
  );
}

/** The times from one effect to the next, or from the commit of what came next, whichever was later. */
function silences(rows: readonly LedgerRow[], published: ReadonlyMap<number, number>): Span[] {
  const effects = rows.toSorted((a, b) => a.atMs - b.atMs);
  // The oldest commit among what took effect at this row or later: since then something was waiting.
  const waitingSince: number[] = [];
  let oldest = Infinity;
  for (const row of effects.toReversed()) {
    oldest = Math.min(oldest, published.get(row.n) ?? row.atMs);
    waitingSince.push(oldest);
  }
  waitingSince.reverse();
  return effects.map(({ atMs }, index) => ({
    from: Math.max(effects[index - 1]?.atMs ?? 0, waitingSince[index] ?? atMs),
    to: atMs,
  }));
}

/**
 * How long it took after the end of each fault until everything that had been published by then had taken effect, in milliseconds,
 * by the name of the fault.
 */
export function recoveryTimes({ history, ledger }: Evidence): Map<string, number[]> {
  const published = publishTimes(history);
  const waits = ledger.map(({ n, atMs }) => ({ from: published.get(n) ?? atMs, to: atMs }));
  const byName = new Map<string, number[]>();
  for (const { name, to: end } of faultSpans(history)) {
    let last = end;
    for (const { from, to } of waits) if (from <= end && to > last) last = to;
    byName.set(name, [...(byName.get(name) ?? []), last - end]);
  }
  return byName;
}

/** While the servers are healthy, every partition with work moves on: a stall is a failure. */
export function checkProgress(evidence: Evidence, recoveryMs: number): Violation[] {
  return stalls(evidence, recoveryMs).map(({ from, to, where }) => ({
    rule: 'progress while healthy',
    what: `nothing took effect in ${where} for ${Math.round(to - from)} ms from ${new Date(from).toISOString()}, with no fault at work`,
    times: [from],
  }));
}

/** After a fault, everything that waits is handled in time. */
export function checkRecovery(evidence: Evidence, limitMs: number): Violation[] {
  return [...recoveryTimes(evidence)].flatMap(([name, times]) =>
    times
      .filter((ms) => ms > limitMs)
      .map((ms) => ({
        rule: 'recovery in time',
        what: `${Math.round(ms)} ms after the end of ${name}, something that had been published before was still waiting`,
      })),
  );
}

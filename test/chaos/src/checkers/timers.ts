import type { Evidence, Violation } from './evidence.js';
import { faultSpans } from './progress.js';
import { shown } from './publishing.js';

/** Earlier than this before its time is early, in milliseconds: times are stored in microseconds and sent in milliseconds. */
const EARLY_MS = 1;

/** Later than this after its time, or after the last fault that was at work then, is late, in milliseconds. */
const LATE_MS = 20_000;

/** A message that was due later took effect once, and never early. */
export function checkTimers({ scheduled }: Evidence): Violation[] {
  const violations: Violation[] = [];
  const lost = scheduled.filter(({ effectsAtMs }) => effectsAtMs.length === 0).map(({ n }) => n);
  if (lost.length > 0)
    violations.push({
      rule: 'no timer is lost',
      what: `${lost.length} scheduled messages had no effect: ${shown(lost)}`,
    });
  const twice = scheduled.filter(({ effectsAtMs }) => effectsAtMs.length > 1).map(({ n }) => n);
  if (twice.length > 0)
    violations.push({
      rule: 'a timer fires once',
      what: `${twice.length} scheduled messages took effect more than once: ${shown(twice)}`,
    });
  for (const { n, dueAtMs, effectsAtMs } of scheduled)
    for (const at of effectsAtMs)
      if (at < dueAtMs - EARLY_MS)
        violations.push({
          rule: 'no timer is early',
          what: `message ${n} took effect ${Math.round(dueAtMs - at)} ms before its time`,
        });
  return violations;
}

/** No timer is late while the servers are healthy: what a fault delays fires soon after its end. */
export function checkTimersOnTime({ scheduled, history }: Evidence): Violation[] {
  const spans = faultSpans(history).toSorted((a, b) => a.from - b.from);
  return scheduled.flatMap(({ n, dueAtMs, effectsAtMs: [effectAtMs] }) => {
    if (effectAtMs === undefined) return [];
    let from = dueAtMs;
    for (const span of spans) if (span.from < effectAtMs && span.to > from) from = span.to;
    return effectAtMs - from <= LATE_MS
      ? []
      : [
          {
            rule: 'timers are on time',
            what: `message ${n} took effect ${Math.round(effectAtMs - dueAtMs)} ms after its time, ${Math.round(effectAtMs - from)} of them without a fault`,
          },
        ];
  });
}

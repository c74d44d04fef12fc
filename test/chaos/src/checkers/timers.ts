import type { Evidence, Violation } from './evidence.js';
import { shown } from './publishing.js';

/** Earlier than this before its time is early, in milliseconds: times are stored in microseconds and sent in milliseconds. */
const EARLY_MS = 1;

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

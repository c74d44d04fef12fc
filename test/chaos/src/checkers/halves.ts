import type { Evidence, Violation } from './evidence.js';
import { shown } from './publishing.js';

/** A half message is delivered, and takes effect once, if and only if its local work is committed. */
export function checkHalves({ halves: { committed, effects } }: Evidence): Violation[] {
  const counts = new Map<number, number>();
  for (const n of effects) counts.set(n, (counts.get(n) ?? 0) + 1);
  const violations: Violation[] = [];
  const lost = [...committed].filter((n) => !counts.has(n));
  if (lost.length > 0)
    violations.push({
      rule: 'committed work delivers its half message',
      what: `${lost.length} half messages had no effect although their work is committed: ${shown(lost)}`,
    });
  const wrong = [...counts.keys()].filter((n) => !committed.has(n));
  if (wrong.length > 0)
    violations.push({
      rule: 'work that was rolled back delivers nothing',
      what: `${wrong.length} half messages took effect although their work is not committed: ${shown(wrong)}`,
    });
  const twice = [...counts].filter(([, count]) => count > 1).map(([n]) => n);
  if (twice.length > 0)
    violations.push({
      rule: 'a half message takes effect once',
      what: `${twice.length} half messages took effect more than once: ${shown(twice)}`,
    });
  return violations;
}

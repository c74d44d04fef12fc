import type { PublishOperation } from '../history/operation.js';
import type { Evidence, Violation } from './evidence.js';
import { publishTimes } from './progress.js';

/** Messages of transactions that ended in one way, by number. */
function publishedAs({ history }: Evidence, type: PublishOperation['type']): Map<number, PublishOperation> {
  const found = new Map<number, PublishOperation>();
  for (const operation of history)
    if (operation.f === 'publish' && operation.type === type)
      for (const { n } of operation.messages) found.set(n, operation);
  return found;
}

/**
 * Commits are what producers were told they are: what was acknowledged is committed, what failed is not. An unknown outcome is
 * whatever the business table says.
 */
export function checkOutcomes(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [n, { id }] of publishedAs(evidence, 'ok'))
    if (!evidence.committed.has(n))
      violations.push({
        rule: 'acknowledged commits hold',
        what: `message ${n} of transaction ${id} was acknowledged, and its business row is gone`,
      });
  for (const [n, { id }] of publishedAs(evidence, 'fail'))
    if (evidence.committed.has(n))
      violations.push({
        rule: 'failed transactions leave nothing',
        what: `message ${n} of transaction ${id} was reported as rolled back, and its business row exists`,
      });
  return violations;
}

/** Every committed message is in the log, and nothing else is (total-queue and aborted read, as in Jepsen's checkers). */
export function checkNothingLost(evidence: Evidence): Violation[] {
  const logged = new Set(evidence.log.map(({ n }) => n));
  const published = publishTimes(evidence.history);
  const lost = [...evidence.committed].filter((n) => !logged.has(n)).toSorted((a, b) => a - b);
  const violations: Violation[] = [];
  if (lost.length > 0)
    violations.push({
      rule: 'nothing committed is lost',
      what: `${lost.length} committed messages are not in the log, ${whereLost(lost, evidence)}: ${shown(lost)}`,
      times: lost.map((n) => published.get(n) ?? 0),
    });
  const foreign = [...logged].filter((n) => !evidence.committed.has(n));
  if (foreign.length > 0)
    violations.push({
      rule: 'nothing rolled back is delivered',
      what: `${foreign.length} messages are in the log although their transactions did not commit: ${shown(foreign)}`,
    });
  return violations;
}

/** Where in the run lost messages were: it tells a missing start from a hole and from a missing end. */
function whereLost(lost: readonly number[], { committed }: Evidence): string {
  const all = [...committed].toSorted((a, b) => a - b);
  const at = lost.map((n) => all.indexOf(n) / Math.max(1, all.length - 1));
  const parts = { prefix: 0, middle: 0, end: 0 };
  for (const share of at) parts[share < 0.05 ? 'prefix' : share > 0.95 ? 'end' : 'middle'] += 1;
  return Object.entries(parts)
    .filter(([, count]) => count > 0)
    .map(([part, count]) => `${count} in the ${part}`)
    .join(', ');
}

/** Some numbers of many. */
export function shown(numbers: readonly number[]): string {
  return numbers.length <= 10 ? numbers.join(', ') : `${numbers.slice(0, 10).join(', ')}, …`;
}

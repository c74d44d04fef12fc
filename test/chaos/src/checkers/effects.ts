import type { Evidence, LedgerRow, Violation } from './evidence.js';
import { publishTimes } from './progress.js';
import { shown } from './publishing.js';

/** Every record took effect once in every group, unless it is a dead letter there; and a dead letter took none. */
export function checkEffects({
  log,
  ledger,
  deadLetters,
  groups,
  lostToRetention,
  history,
}: Evidence): Violation[] {
  const published = publishTimes(history);
  const violations: Violation[] = [];
  for (const group of groups) {
    const rows = ledger.filter((row) => row.group === group);
    const counts = new Map<number, number>();
    for (const { n } of rows) counts.set(n, (counts.get(n) ?? 0) + 1);
    const dead = new Set(deadLetters.filter((letter) => letter.group === group).map(({ n }) => n));
    const missing = log
      .map(({ n }) => n)
      .filter((n) => !counts.has(n) && !dead.has(n) && !lostToRetention.has(`${group} ${n}`));
    if (missing.length > 0)
      violations.push({
        rule: 'every message takes effect',
        what: `${missing.length} messages had no effect in group ${group}: ${shown(missing)}`,
        times: missing.map((n) => published.get(n) ?? 0),
      });
    const twice = [...counts].filter(([, count]) => count > 1).map(([n]) => n);
    const lastOf = new Map(rows.map(({ n, atMs }) => [n, atMs]));
    if (twice.length > 0)
      violations.push({
        rule: 'a message takes effect once',
        what: `${twice.length} messages took effect more than once in group ${group}: ${shown(twice)}`,
        times: twice.map((n) => lastOf.get(n) ?? 0),
      });
    const both = [...dead].filter((n) => counts.has(n));
    if (both.length > 0)
      violations.push({
        rule: 'a dead letter has no effect',
        what: `${both.length} dead letters of group ${group} took effect: ${shown(both)}`,
      });
    const known = new Set(log.map(({ n }) => n));
    const invented = [...counts.keys()].filter((n) => !known.has(n));
    if (invented.length > 0)
      violations.push({
        rule: 'effects come from the log',
        what: `${invented.length} effects of group ${group} have no record: ${shown(invented)}`,
      });
  }
  return violations;
}

/** Effects of a key are in the order of its offsets, retries included. Dead letters leave gaps. */
export function checkEffectOrder({ log, ledger, groups }: Evidence): Violation[] {
  const keyOf = new Map(log.map(({ n, key }) => [n, key]));
  const violations: Violation[] = [];
  for (const group of groups) {
    const rows = ledger.filter((row) => row.group === group).toSorted((a, b) => a.id - b.id);
    const newest = new Map<string, LedgerRow>();
    for (const row of rows) {
      const key = keyOf.get(row.n);
      if (key === undefined) continue;
      const before = newest.get(key);
      if (before !== undefined && row.offset < before.offset)
        violations.push({
          rule: 'effects keep the order of a key',
          what: `group ${group} completed offset ${row.offset} of key ${key} after offset ${before.offset}`,
          times: [row.atMs],
        });
      newest.set(key, row);
    }
  }
  return violations;
}

/** A handler whose outcome was reported as failed wrote nothing; one that reported success wrote its row. */
export function checkReportedAttempts({ history, ledger }: Evidence): Violation[] {
  const rows = new Set(ledger.map(({ delivery }) => delivery));
  return history.flatMap((operation) => {
    if (operation.f !== 'handle' || operation.type !== 'fail') return [];
    const { group, n, attempt, delivery } = operation;
    return rows.has(delivery)
      ? [
          {
            rule: 'a failed attempt leaves nothing',
            what: `attempt ${attempt} of message ${n} failed in group ${group}, and its effect is in the ledger`,
          },
        ]
      : [];
  });
}

import type { PositionOperation } from '../history/operation.js';
import type { Evidence, Violation } from './evidence.js';

/** A group's position in a partition never steps back, and its owner epoch never falls. */
export function checkPositions({ history }: Evidence): Violation[] {
  const newest = new Map<string, PositionOperation>();
  const violations: Violation[] = [];
  for (const operation of history) {
    if (operation.f !== 'position') continue;
    const where = `${operation.group}[${operation.partition}]`;
    const before = newest.get(where);
    if (before !== undefined && operation.position < before.position)
      violations.push({
        rule: 'positions do not step back',
        what: `${where} went from ${before.position} (epoch ${before.ownerEpoch}) to ${operation.position} (epoch ${operation.ownerEpoch})`,
      });
    if (before !== undefined && operation.ownerEpoch < before.ownerEpoch)
      violations.push({
        rule: 'owner epochs do not fall',
        what: `${where} went from epoch ${before.ownerEpoch} to ${operation.ownerEpoch}`,
      });
    newest.set(where, operation);
  }
  return violations;
}

/** In the end a position passes over nothing: every record below it has an effect or is a dead letter. */
export function checkNothingSkipped({
  history,
  log,
  ledger,
  deadLetters,
  lostToRetention,
}: Evidence): Violation[] {
  const last = new Map<string, PositionOperation>();
  for (const operation of history)
    if (operation.f === 'position') last.set(`${operation.group} ${operation.partition}`, operation);
  const ended = new Set(lostToRetention);
  for (const { group, n } of [...ledger, ...deadLetters]) ended.add(`${group} ${n}`);
  return [...last.values()].flatMap(({ group, partition, position }) =>
    log
      .filter(
        (record) =>
          record.partition === partition && record.offset < position && !ended.has(`${group} ${record.n}`),
      )
      .map((record) => ({
        rule: 'positions skip nothing',
        what: `${group}[${partition}] is at ${position}, and offset ${record.offset} (message ${record.n}) has no effect`,
      })),
  );
}

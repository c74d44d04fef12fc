import { groupBy } from './group-by.js';
import type { Evidence, LoggedRecord, Violation } from './evidence.js';

const at = ({ partition, offset }: { partition: number; offset: number }): string => `${partition}@${offset}`;

/** Offsets of a partition are dense, from 0 or the oldest that retention has left. */
export function checkDenseOffsets({ log }: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [partition, records] of groupBy(log, (record) => record.partition)) {
    let expected = records[0]?.offset ?? 0;
    for (const { offset } of records) {
      if (offset !== expected)
        violations.push({
          rule: 'offsets are dense',
          what: `partition ${partition} has offset ${offset} where ${expected} was due`,
        });
      expected = offset + 1;
    }
  }
  return violations;
}

/** A message is in the log once. */
export function checkNoDuplicates({ log }: Evidence): Violation[] {
  const first = new Map<string, LoggedRecord>();
  return log.flatMap((record) => {
    const known = first.get(record.messageId);
    if (known === undefined) first.set(record.messageId, record);
    return known === undefined
      ? []
      : [
          {
            rule: 'a message is in the log once',
            what: `message ${record.n} is at ${at(known)} and at ${at(record)}`,
          },
        ];
  });
}

/** Every reader saw the same message at an offset: handlers, ledger and the final read of the log. */
export function checkOffsetAgreement({ log, logAgain, history, ledger }: Evidence): Violation[] {
  const truth = new Map(log.map((record) => [at(record), record.n]));
  const seen = new Map<string, Violation>();
  const compare = (who: string, one: { partition: number; offset: number; n: number }): void => {
    const n = truth.get(at(one));
    if (n === one.n) return;
    const what = `${who} saw message ${one.n} at ${at(one)}, where the log has ${n ?? 'nothing'}`;
    seen.set(`${who} ${at(one)} ${one.n}`, { rule: 'readers agree on offsets', what });
  };
  for (const operation of history)
    if (operation.f === 'handle') compare(`group ${operation.group}`, operation);
  for (const row of ledger) compare(`the ledger of ${row.group}`, row);
  for (const record of logAgain) compare('a second reader', record);
  return [...seen.values()];
}

/** Messages of a key are in its partition in the order in which their transactions held the key's row. */
export function checkCommitOrder({ log }: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [key, records] of groupBy(log, (record) => record.key)) {
    const partitions = new Set(records.map(({ partition }) => partition));
    if (partitions.size > 1)
      violations.push({
        rule: 'a key has one partition',
        what: `key ${key} is in partitions ${[...partitions].join(', ')}`,
      });
    let newest: LoggedRecord | undefined;
    for (const record of records) {
      if (newest !== undefined && record.partition === newest.partition && record.turn <= newest.turn)
        violations.push({
          rule: 'commit order per key',
          what: `turn ${record.turn} of key ${key} (message ${record.n}) is at ${at(record)}, after turn ${newest.turn} at ${at(newest)}`,
        });
      newest = record;
    }
  }
  return violations;
}

import type { PgDatabase } from '@waybill/kernel';
import { outboxBacklogs, OutboxQuarantine } from '@waybill/outbox/internal';
import { type Finding, ok, problem, warning } from './finding.js';

/** A message that waits for longer means that no relay moves it, or that more is published than it moves. */
const OLD_MS = 30_000;
const MANY = 50_000;
const SHOWN = 5;

/** Whether what is published gets on, and if not, whose it is. */
export async function checkOutbox({ session }: PgDatabase): Promise<Finding> {
  const backlogs = await outboxBacklogs(session);
  const waiting = backlogs.reduce((sum, backlog) => sum + backlog.waiting, 0);
  const told = backlogs
    .slice(0, SHOWN)
    .map(({ topic, role, waiting: some, bytes, oldestAgeMs }) => {
      const name = topic === '' ? 'changes of timers' : topic;
      return `${some} of ${name} by ${role} (${bytes} bytes, the oldest for ${Math.round(oldestAgeMs / 1_000)} s)`;
    })
    .join(', ');
  const refused = [...new Set(backlogs.flatMap(({ topic, full }) => (full === null ? [] : [topic])))];
  if (refused.length > 0)
    return problem(
      'outbox',
      `further messages to ${refused.join(', ')} are refused; in the outbox wait ${told}`,
      'See that a relay runs, and stop who publishes so much; then they are taken again by themselves.',
    );
  if (waiting >= MANY || backlogs.some(({ oldestAgeMs }) => oldestAgeMs > OLD_MS))
    return problem(
      'outbox',
      `in the outbox wait ${told}`,
      'See that a relay runs. If one does, stop who publishes so much, or bound it: waybill topic set NAME --backlog-max-messages 100000.',
    );
  return ok('outbox', `${waiting} messages wait for the relay, none for longer than ${OLD_MS / 1_000} s`);
}

/** Whether messages were set aside. */
export async function checkQuarantine(database: PgDatabase): Promise<Finding> {
  const kinds = await new OutboxQuarantine(database).backlogs(SHOWN);
  if (kinds.length === 0) return ok('quarantine', 'every message could be moved');
  const told = kinds.map(
    ({ topic, code, messages }) => `${messages} of ${topic === '' ? '(none)' : topic} (${code})`,
  );
  return warning(
    'quarantine',
    `messages could not be moved and were set aside: ${told.join(', ')}`,
    'Look at them by `waybill outbox quarantine list`, mend what kept them, and redrive or discard them.',
  );
}

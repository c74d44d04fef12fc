import type { PgDatabase } from '@waybill/kernel';
import { outboxBacklogs, OutboxQuarantine } from '@waybill/outbox/internal';
import { type Finding, ok, problem, warning } from './finding.js';

/** If a message waits for longer than this, no relay moves it, or more is published than the relay moves. */
const OLD_MS = 30_000;
const MANY = 50_000;
const SHOWN = 5;

/** Whether published messages are moved, and if not, whose they are. */
export async function checkOutbox({ session }: PgDatabase): Promise<Finding> {
  const backlogs = await outboxBacklogs(session);
  const waiting = backlogs.reduce((sum, backlog) => sum + backlog.waiting, 0);
  const told = backlogs
    .slice(0, SHOWN)
    .map(({ topic, role, waiting: some, bytes, oldestAgeMs }) => {
      const name = topic === '' ? 'timer commands' : topic;
      return `${some} of ${name} by ${role} (${bytes} bytes, the oldest for ${Math.round(oldestAgeMs / 1_000)} s)`;
    })
    .join(', ');
  const refused = [...new Set(backlogs.flatMap(({ topic, full }) => (full === null ? [] : [topic])))];
  if (refused.length > 0)
    return problem(
      'outbox',
      `new messages to ${refused.join(', ')} are refused; waiting in the outbox: ${told}`,
      'Make sure that a relay runs, and stop the excessive publishers; then messages are accepted again automatically.',
    );
  if (waiting >= MANY || backlogs.some(({ oldestAgeMs }) => oldestAgeMs > OLD_MS))
    return problem(
      'outbox',
      `waiting in the outbox: ${told}`,
      'Make sure that a relay runs. If one does, stop the excessive publishers or set a limit: waybill topic set NAME --backlog-max-messages 100000.',
    );
  return ok('outbox', `${waiting} messages wait for the relay, none for longer than ${OLD_MS / 1_000} s`);
}

/** Whether messages are quarantined. */
export async function checkQuarantine(database: PgDatabase): Promise<Finding> {
  const kinds = await new OutboxQuarantine(database).backlogs(SHOWN);
  if (kinds.length === 0) return ok('quarantine', 'every message could be moved');
  const told = kinds.map(
    ({ topic, code, messages }) => `${messages} of ${topic === '' ? '(none)' : topic} (${code})`,
  );
  return warning(
    'quarantine',
    `messages could not be moved and are quarantined: ${told.join(', ')}`,
    'List them with `waybill outbox quarantine list`, fix the cause, and redrive or discard them.',
  );
}

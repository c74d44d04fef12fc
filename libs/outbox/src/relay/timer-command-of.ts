import { invariant } from '@waybill/kernel';
import { headersTogether } from '@waybill/log/internal';
import type { TimerCommand } from '@waybill/timer';
import type { OutboxRow } from './outbox-row.js';

const ACTIONS = [undefined, 'schedule', 'cancel', 'reschedule'] as const;

/** The timer change in a row of the outbox that is not for the log. Copies the values that it keeps. */
export function timerCommandOf(row: OutboxRow): TimerCommand {
  const action = ACTIONS[row.timerAction ?? 0];
  const id = row.id.toString('latin1');
  const dueMs = row.deliverAtMs;
  const asker = row.key?.toString('utf8') ?? null;
  if (action === 'cancel') return { action, target: targetOf(row, id), asker };
  invariant(dueMs !== null, `row ${row.rowId} of the outbox schedules a message but has no time`);
  if (action === 'reschedule') return { action, target: targetOf(row, id), dueMs, asker };
  invariant(action === 'schedule', `row ${row.rowId} of the outbox has the timer action ${row.timerAction}`);
  const { topic, partition, timerToken: token } = row;
  const headers = headersTogether(row);
  const key = row.key?.toString('utf8') ?? null;
  const payload = row.payload === null ? null : Buffer.from(row.payload);
  return { action, message: { id, token, topic, partition, key, headers, payload }, dueMs };
}

function targetOf({ timerToken }: OutboxRow, id: string): { id: string } | { token: string } {
  return timerToken === null ? { id } : { token: timerToken };
}

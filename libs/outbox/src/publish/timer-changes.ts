import { type BoundStatement, bindStatement, isId, MessageInvalidError, newId } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import type { TimerTarget } from '@waybill/timer';
import type { MessageTimes } from '../message.js';
import { checkDelay, checkToken } from './message-times.js';
import { insertTimerChange } from '../statements.generated.js';

/** The new delivery time of a scheduled message. */
export type TimerDelay = Pick<MessageTimes, 'deliverAt' | 'delayMs' | 'delayLevel'>;

/** The statement that cancels scheduled messages. @throws MessageInvalidError */
export function cancelStatement(target: TimerTarget): BoundStatement {
  return changeStatement({ action: 2, ...checkTarget(target) });
}

/** The statement that moves scheduled messages to another time. @throws MessageInvalidError */
export function rescheduleStatement(target: TimerTarget, time: TimerDelay): BoundStatement {
  const checked = checkTarget(target);
  const refuse = refusal(checked.id);
  const delay = checkDelay(time ?? {}, refuse);
  if (delay.deliverAt === null && delay.delayMs === null)
    refuse('it needs a deliverAt, delayMs or delayLevel');
  return changeStatement({ action: 3, ...checked, ...delay });
}

function changeStatement(change: object): BoundStatement {
  return bindStatement(insertTimerChange, JSON.stringify(change));
}

/** Selects messages: the one with an id, or all that carry a token. */
function checkTarget(target: TimerTarget): { id: string; token: string | null } {
  const { id, token } = (target ?? {}) as { id?: string; token?: string };
  const refuse = refusal(id === undefined ? '(by token)' : show(id));
  if ((id === undefined) === (token === undefined))
    refuse('its timer must be named by either an id or a token');
  if (token !== undefined) checkToken(token, refuse);
  if (id !== undefined && (typeof id !== 'string' || !isId(id))) refuse('its id is not a UUID');
  return { id: id ?? newId(), token: token ?? null };
}

function refusal(id: string): (problem: string) => never {
  return (problem) => {
    throw new MessageInvalidError(id, '(scheduled)', problem);
  };
}

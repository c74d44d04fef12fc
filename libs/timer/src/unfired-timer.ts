import { type BoundStatement, bindStatement } from '@waybill/kernel';
import { type MessageToCollect } from '@waybill/log';
import { type Rejection, rejectionOf } from '@waybill/log/internal';
import { setAsideTimers } from './statements.generated.js';
import type { DueTimer } from './timer-effect.js';

/** A message whose time has come and that cannot be delivered, and why. */
export interface UnfiredTimer extends Omit<DueTimer, 'kind'>, Rejection {}

/** What is kept of a timer that cannot be fired. @param message what it was to append, when that is known */
export function unfiredTimer(timer: DueTimer, error: unknown, message?: MessageToCollect): UnfiredTimer {
  const { kind: _, ...rest } = timer;
  const rejection = rejectionOf(error);
  if (message === undefined) return { ...rest, ...rejection };
  const { id, topic, partition, key, headers, payload } = message;
  const messageId = id.toString('latin1');
  return {
    ...rest,
    messageId,
    topic,
    partition,
    key: key?.toString('utf8') ?? null,
    headers,
    payload,
    ...rejection,
  };
}

/** The statement that keeps them, for the transaction that has deleted them. */
export function setAsideStatement(unfired: readonly UnfiredTimer[]): BoundStatement {
  return bindStatement(
    setAsideTimers,
    unfired.map(({ id }) => id),
    unfired.map(({ messageId }) => messageId),
    unfired.map(({ token }) => token),
    unfired.map(({ topic }) => topic),
    unfired.map(({ partition }) => partition),
    unfired.map(({ key }) => key),
    unfired.map(({ headers }) => headers),
    unfired.map(({ payload }) => payload),
    unfired.map(({ dueMs }) => dueMs),
    unfired.map(({ code }) => code),
    unfired.map(({ reason }) => reason),
  );
}

import { type BoundStatement, bindStatement } from '@waybill/kernel';
import { type MessageToCollect } from '@waybill/log';
import { type Rejection, rejectionOf } from '@waybill/log/internal';
import { setAsideTimers } from './statements.generated.js';
import type { DueTimer } from './timer-effect.js';

/** A due message that cannot be delivered, and the reason. */
export interface UnfiredTimer extends Omit<DueTimer, 'kind'>, Rejection {}

/** The quarantine row of a timer that cannot be fired. @param message the message to append, if known */
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

/** The statement that stores them, for the transaction that has deleted them. */
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

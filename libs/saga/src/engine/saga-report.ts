import type { Logger } from '@waybill/kernel';
import type { SagaEvent } from '../machine/saga-event.js';
import type { SagaInstance } from '../machine/saga-instance.js';

/** Logs that an event changed nothing. */
export function reportIgnored(
  logger: Logger,
  { id, state }: SagaInstance,
  why: string,
  event: SagaEvent,
): void {
  if (event.type !== 'due') logger.debug(`saga ${id} ignored ${event.type}: ${why}`, { state });
}

/** Logs a new state that someone should know of. */
export function reportState(logger: Logger, type: string, before: SagaInstance, after: SagaInstance): void {
  if (after.state === before.state) return;
  const what = `saga ${type} ${after.id} is ${after.state}`;
  const why = after.reason === null ? '' : `: ${after.reason}`;
  if (after.state === 'STUCK') logger.error(`${what}${why}. An operator must decide.`);
  else if (after.state === 'COMPENSATING') logger.warn(`${what}${why}`);
}

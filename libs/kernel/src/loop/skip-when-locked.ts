import { isWaybillError } from '../errors/waybill-error.js';

/**
 * Runs a step of maintenance that gives up when it cannot have its lock in time: what cannot be done now is done by a
 * later pass, so that maintenance never waits for work, nor work for it.
 */
export async function skipWhenLocked(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!isWaybillError(error) || error.code !== 'TRANSACTION_CONFLICT') throw error;
  }
}

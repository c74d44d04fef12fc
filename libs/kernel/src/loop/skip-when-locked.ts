import { isWaybillError } from '../errors/waybill-error.js';

/**
 * Runs a maintenance step that gives up when it cannot get its lock in time; a later pass does the work.
 * Maintenance never waits long for other work, nor other work for maintenance.
 */
export async function skipWhenLocked(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!isWaybillError(error) || error.code !== 'TRANSACTION_CONFLICT') throw error;
  }
}

import { type Logger, type PgDatabase, systemClock } from '@waybill/kernel';
import { DEFAULT_REDIS_PREFIX } from '@waybill/timer';
import { PostgresBudgetStore, RedisBudgetStore, type RetryBudgetStore } from '@waybill/consumer';
import type { WaybillModuleOptions } from '../options/waybill-options.js';

/** Where budgets of retries are kept: in Redis where there is one, and only then if a consumer has any. */
export function retryBudgets(
  { redis, scheduler, consumer }: WaybillModuleOptions,
  bus: PgDatabase,
  logger: Logger,
): RetryBudgetStore {
  const inDatabase = new PostgresBudgetStore(bus.session);
  if (redis === undefined || typeof consumer !== 'object' || consumer.retryBudget === undefined)
    return inDatabase;
  const prefix = (typeof scheduler === 'object' ? scheduler.prefix : undefined) ?? DEFAULT_REDIS_PREFIX;
  return new RedisBudgetStore(redis, prefix, inDatabase, { clock: systemClock, logger });
}

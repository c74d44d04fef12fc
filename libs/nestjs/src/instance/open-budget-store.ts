import { type RetryBudgetStore } from '@waybill/consumer';
import { PostgresBudgetStore, RedisBudgetStore } from '@waybill/consumer/internal';
import { type Logger, type PgDatabase, systemClock } from '@waybill/kernel';
import type { RedisGiven } from '@waybill/timer';
import type { ProcessRoles } from '../options/process-roles.js';

/** Opens the store of retry budgets: in Redis if it is configured, and only if a consumer has a budget. */
export function openBudgetStore(
  redis: RedisGiven | undefined,
  { redisPrefix, consumer }: Pick<ProcessRoles, 'redisPrefix' | 'consumer'>,
  database: PgDatabase,
  logger: Logger,
): RetryBudgetStore {
  const inDatabase = new PostgresBudgetStore(database.session);
  if (redis === undefined || consumer?.retryBudget === undefined) return inDatabase;
  return new RedisBudgetStore(redis, redisPrefix, inDatabase, { clock: systemClock, logger });
}

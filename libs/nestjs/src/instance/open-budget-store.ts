import { type RetryBudgetStore } from '@waybill/consumer';
import { PostgresBudgetStore, RedisBudgetStore } from '@waybill/consumer/internal';
import { type Logger, type PgDatabase, systemClock } from '@waybill/kernel';
import type { RedisGiven } from '@waybill/timer';
import type { ProcessRoles } from '../options/process-roles.js';

/** Where budgets of retries are kept: in Redis where there is one, and only then if a consumer has any. */
export function openBudgetStore(
  redis: RedisGiven | undefined,
  { redisPrefix, consumer }: Pick<ProcessRoles, 'redisPrefix' | 'consumer'>,
  bus: PgDatabase,
  logger: Logger,
): RetryBudgetStore {
  const inDatabase = new PostgresBudgetStore(bus.session);
  if (redis === undefined || consumer?.retryBudget === undefined) return inDatabase;
  return new RedisBudgetStore(redis, redisPrefix, inDatabase, { clock: systemClock, logger });
}
